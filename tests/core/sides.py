"""One relay with what is around it: sockets instead of a VM and a tap."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import attrs
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from colo import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 5.0
QUIET_S = 0.05
_FOR_EVER_NS = 600_000_000_000


@attrs.define(eq=False)
class Side:
    relay: _core.Relay
    vm: socket.socket
    uplink: socket.socket
    _seen: list[tuple[Any, ...]] = attrs.field(factory=list)

    @classmethod
    def start(cls) -> Side:
        relay = _core.Relay(1, 60_000, 16, 20, 400, 60_000)
        vm, vm_end = socket.socketpair()
        uplink, uplink_end = socket.socketpair()
        with vm_end, uplink_end:
            relay.attach_vm(0, vm_end.fileno())
            relay.attach_uplink(0, uplink_end.fileno(), "stream")
        return cls(relay, vm, uplink)

    def event(self, kind: str) -> tuple[Any, ...]:
        """The next event of this kind, without its name; others stay for later."""
        until = time.monotonic() + PATIENCE_S
        while True:
            self._seen += self.relay.events()
            for event in self._seen:
                if event[0] == kind:
                    self._seen.remove(event)
                    return event[1:]
            assert time.monotonic() < until, f"no {kind}, only {self._seen}"
            select.select([self.relay.fileno()], [], [], 0.1)

    def open_gate(self) -> None:
        self.relay.gate(_core.boottime_ns() + _FOR_EVER_NS)

    def end(self) -> None:
        self.relay.stop()
        self.vm.close()
        self.uplink.close()


def tcp_pair() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield socket.create_connection(server.getsockname())
        yield server.accept()[0]


def request(text: bytes) -> bytes:
    """From a client to the guest."""
    ether = Ether(src="02:00:00:00:00:09", dst="52:54:00:c0:10:01")
    return bytes(ether / IP(src="10.0.0.9", dst="10.0.0.2") / UDP(sport=4312, dport=80) / text)


def answer(text: bytes) -> bytes:
    """From the guest to the client."""
    ether = Ether(src="52:54:00:c0:10:01", dst="02:00:00:00:00:09")
    return bytes(ether / IP(src="10.0.0.2", dst="10.0.0.9") / UDP(sport=80, dport=4312) / text)


def put(end: socket.socket, frame: bytes) -> None:
    end.sendall(struct.pack(">I", len(frame)) + frame)


def get(end: socket.socket) -> bytes:
    """The next frame, which must come."""
    end.settimeout(PATIENCE_S)
    (length,) = struct.unpack(">I", end.recv(4, socket.MSG_WAITALL))
    return end.recv(length, socket.MSG_WAITALL)


def is_quiet(end: socket.socket) -> bool:
    return not select.select([end], [], [], QUIET_S)[0]
