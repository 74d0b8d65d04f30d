"""The network of this machine: the right to make taps, bridges, the agent's port."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from colo.check.finding import Finding, fail, failed, ok, warn
from colo.config import TapUplink
from colo.errors import CapabilityError
from colo.network import open_cable
from colo.network.tap import open_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colo.config import Config

_DEVICES = Path("/sys/class/net")


def tap(config: Config | None) -> Iterator[Finding]:
    """Make a tap and drop it again; the bridges of the configuration have to be there."""
    uplinks = [nic.uplink for nic in config.vm.nic] if config else []
    taps = [uplink for uplink in uplinks if isinstance(uplink, TapUplink)]
    needed = config is None or bool(taps)
    try:
        os.close(open_device("colocheck%d"))
        yield ok("tap devices", "can be made")
    except CapabilityError as e:
        if needed:
            yield failed("tap devices", e)
        else:
            yield warn("tap devices", e.message, f"not needed by this VM; otherwise: {e.hint}")
    for bridge in sorted({uplink.bridge for uplink in taps}):
        yield _bridge(bridge)


async def cable(*, needed: bool) -> Finding:
    """Make a cable for a card with offloads, and drop it again."""
    name = "cards with offloads"
    try:
        (await open_cable()).close()
    except CapabilityError as e:
        return failed(name, e) if needed else warn(name, e.message, f'for backend = "tap": {e.hint}')
    return ok(name, "are possible")


def _bridge(bridge: str) -> Finding:
    name = f"bridge {bridge}"
    if not (_DEVICES / bridge).exists():
        hint = f"ip link add {bridge} type bridge && ip link set {bridge} up"
        return fail(name, "there is none on this host", hint)
    if not (_DEVICES / bridge / "bridge").exists():
        return fail(name, "is no bridge", "name a bridge in vm.nic.uplink")
    if not int((_DEVICES / bridge / "flags").read_text(), 16) & 1:
        return fail(name, "is down", f"ip link set {bridge} up")
    return ok(name, "is up")


def port(config: Config) -> Finding:
    """The agent's address has to be this host's, and free."""
    address = config.agent.listen
    name = "agent.listen"
    try:
        family, kind, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
    except OSError as e:
        hints = {
            errno.EADDRINUSE: f"see who has it: ss -ltnp sport = :{address.port}",
            errno.EADDRNOTAVAIL: "give an address of this host",
        }
        return fail(name, f"{address}: {e.strerror or e}", hints.get(e.errno or 0, "choose another address"))
    return ok(name, f"{address} is free")
