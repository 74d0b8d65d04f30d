"""Hosts in network namespaces: two switches (the clients' LAN and the management network) and what hangs on
them.

```
client ── lan switch ──┬── br0 of alpha ── tap (the agent's)
                       └── br0 of beta  ── tap
witness, alpha, beta ── management switch
```
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from attrs import frozen
from pyroute2 import IPRoute, NetNS, netns

from colo.errors import CapabilityError

if TYPE_CHECKING:
    from ipaddress import IPv4Interface
    from types import TracebackType

BRIDGE = "br0"


@frozen
class Port:
    """A host's end of a cable: the switch it leads to, the interface's name, its address or the bridge it
    joins.
    """

    switch: str
    interface: str
    address: IPv4Interface | None = None
    bridge: str | None = None


class Network:
    """Creates namespaces on entry, removes them on exit; names carry this process's id."""

    def __init__(self, hosts: dict[str, tuple[Port, ...]]) -> None:
        self._hosts = hosts
        self._prefix = f"colo{os.getpid()}"
        self._cleanup = ExitStack()

    def path(self, host: str) -> str:
        """The file that names the network namespace of `host`."""
        return f"/run/netns/{self._name(host)}"

    def command(self, host: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """`argv` as it is run on `host`; the process keeps its pid through this."""
        return ("nsenter", f"--net={self.path(host)}", "--", *argv)

    def __enter__(self) -> Self:
        try:
            self._build()
        except PermissionError as error:
            self._cleanup.close()
            raise CapabilityError(
                f"this user may not make network namespaces: {error}",
                "run as root, or where user namespaces are allowed",
            ) from error
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _name(self, host: str) -> str:
        return f"{self._prefix}-{host}"

    def _build(self) -> None:
        self._create("switch")
        switches = sorted({port.switch for ports in self._hosts.values() for port in ports})
        with NetNS(self._name("switch")) as switch:
            for name in switches:
                _bridge(switch, name)
        for host, ports in self._hosts.items():
            self._create(host)
            for number, port in enumerate(ports):
                self._plug(host, port, f"{host}{number}")

    def _create(self, host: str) -> None:
        name = self._name(host)
        netns.create(name)
        self._cleanup.callback(netns.remove, name)
        with NetNS(name) as space:
            space.link("set", index=space.link_lookup(ifname="lo")[0], state="up")

    def _plug(self, host: str, port: Port, outlet: str) -> None:
        peer = {"ifname": port.interface, "net_ns_fd": self._name(host)}
        with IPRoute() as here:
            here.link("add", ifname=outlet, kind="veth", peer=peer, net_ns_fd=self._name("switch"))
        with NetNS(self._name("switch")) as switch:
            _join(switch, outlet, port.switch)
        with NetNS(self._name(host)) as space:
            if port.bridge is not None:
                _bridge(space, port.bridge)
                _join(space, port.interface, port.bridge)
            if port.address is not None:
                index = space.link_lookup(ifname=port.interface)[0]
                space.addr(
                    "add", index=index, address=str(port.address.ip), prefixlen=port.address.network.prefixlen
                )
                space.link("set", index=index, state="up")


def _bridge(space: NetNS, name: str) -> None:
    space.link("add", ifname=name, kind="bridge")
    space.link("set", index=space.link_lookup(ifname=name)[0], state="up")


def _join(space: NetNS, interface: str, bridge: str) -> None:
    index = space.link_lookup(ifname=interface)[0]
    space.link("set", index=index, master=space.link_lookup(ifname=bridge)[0], state="up")
