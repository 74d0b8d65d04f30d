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
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Protocol, Self

from attrs import frozen
from pyroute2 import IPRoute, NetNS, netns

from colo.errors import CapabilityError, ColoError
from colo.lab import remains
from colo.network.tap import open_device, open_header_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Interface, IPv6Interface
    from types import TracebackType

BRIDGE = "br0"
_NO_DAD = 0x02  # IFA_F_NODAD: the address counts at once
_END_S = 60.0  # a cable may be a VM that has to end


class Cable(Protocol):
    """A cable that is a program between two taps."""

    @property
    def offloads(self) -> bool:
        """Whether frames are of up to 64 KiB, with virtio's header before each."""

    def command(self, one: int, other: int) -> tuple[str, ...]:
        """Carries frames between these descriptors until its standard input ends; then it may say something
        on standard output.
        """


@frozen
class Port:
    """A host's end of a cable: the switch it leads to, the interface's name, its addresses or the bridge it
    joins; what the cable is, if not a good one.
    """

    switch: str
    interface: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    bridge: str | None = None
    cable: Cable | None = None


class Network:
    """Creates namespaces on entry, removes them on exit; their names say whose they are, and a number. What
    laboratories that were killed have left goes first.
    """

    _numbers = count(1)

    def __init__(self, hosts: dict[str, tuple[Port, ...]]) -> None:
        self._hosts = hosts
        self._prefix = remains.prefix(next(self._numbers))
        self._cleanup = ExitStack()
        self.said: list[str] = []
        """What cables have said when they ended."""

    def path(self, host: str) -> str:
        """The file that names the network namespace of `host`."""
        return str(remains.NAMESPACES / self._name(host))

    def command(self, host: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """`argv` as it is run on `host`; the process keeps its pid through this."""
        return ("nsenter", f"--net={self.path(host)}", "--", *argv)

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """The calling thread is on `host` meanwhile: sockets that it makes stay there."""
        with _inside(self._name(host)):
            yield

    def __enter__(self) -> Self:
        try:
            remains.clear()
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
        if port.cable is None:
            peer = {"ifname": port.interface, "net_ns_fd": self._name(host)}
            with IPRoute() as here:
                here.link("add", ifname=outlet, kind="veth", peer=peer, net_ns_fd=self._name("switch"))
        else:
            self._lay(port.cable, host, port.interface, outlet)
        with NetNS(self._name("switch")) as switch:
            _join(switch, outlet, port.switch)
        with NetNS(self._name(host)) as space:
            if port.bridge is not None:
                _bridge(space, port.bridge)
                _join(space, port.interface, port.bridge)
            for address in port.addresses:
                _give(space, port.interface, address)

    def _lay(self, cable: Cable, host: str, interface: str, outlet: str) -> None:
        """Taps instead of a veth, and a process that carries the frames from one to the other."""
        with ExitStack() as undo:
            taps = []
            opened = partial(open_header_device, offloads=True) if cable.offloads else open_device
            for space, name in ((host, interface), ("switch", outlet)):
                with _inside(self._name(space)):
                    taps.append(opened(name))
                undo.callback(os.close, taps[-1])
            # Its standard input ends with this process, however that does; then the cable does. What it says
            # goes to a file: there may be nobody to read it.
            said = self._cleanup.enter_context(TemporaryFile("w+"))
            process = subprocess.Popen(
                cable.command(*taps), pass_fds=taps, stdin=subprocess.PIPE, stdout=said, text=True
            )
        self._cleanup.callback(self._end, process, said)

    def _end(self, process: subprocess.Popen[str], said: IO[str]) -> None:
        """The cable's end."""
        try:
            process.communicate(timeout=_END_S)
        except BaseException:
            process.kill()
            raise
        if process.returncode != 0:
            raise ColoError(f"a cable ended with {process.returncode}", "read what it said on standard error")
        said.seek(0)
        self.said.append(said.read())


@contextmanager
def _inside(space: str) -> Iterator[None]:
    """The calling thread is in the network namespace meanwhile."""
    netns.pushns(space)
    try:
        yield
    finally:
        netns.popns()


def _give(space: NetNS, interface: str, address: IPv4Interface | IPv6Interface) -> None:
    index = space.link_lookup(ifname=interface)[0]
    where = {"address": str(address.ip), "prefixlen": address.network.prefixlen}
    if address.version == 6:  # noqa: PLR2004 - IPv6
        where |= {"family": socket.AF_INET6, "flags": _NO_DAD}
    space.addr("add", index=index, **where)
    space.link("set", index=index, state="up")


def _bridge(space: NetNS, name: str) -> None:
    space.link("add", ifname=name, kind="bridge")
    space.link("set", index=space.link_lookup(ifname=name)[0], state="up")


def _join(space: NetNS, interface: str, bridge: str) -> None:
    index = space.link_lookup(ifname=interface)[0]
    space.link("set", index=index, master=space.link_lookup(ifname=bridge)[0], state="up")
