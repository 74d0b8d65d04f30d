"""The demo guest without an agent: booted by QEMU, asked over the wire of its network card."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from counting import printed
from scapy.layers.l2 import ARP, Ether

from colo.guest import GUEST_APPEND

if TYPE_CHECKING:
    import socket

    from colo.guest import GuestImage
    from colo.hypervisor import Hypervisor

MEMORY_MIB = 128
ADDRESS = "10.77.0.2"
_US = "52:54:00:c0:10:99"
_PATIENCE_S = 10.0


def linux(guest: GuestImage, append: str = "") -> dict[str, Any]:
    """What of a VM's description makes it the demo guest."""
    return {
        "kernel": guest.kernel,
        "initrd": guest.initramfs,
        "append": f"{GUEST_APPEND} colo.ip={ADDRESS}/24 {append}",
        "memory_mib": MEMORY_MIB,
        "extra": (),
    }


async def booted(hypervisor: Hypervisor) -> None:
    """Let it run, until its services do."""
    await hypervisor.boot()
    await printed(hypervisor, "colo-guest: ready")


async def answers(hypervisor: Hypervisor) -> bool:
    """Whether its kernel says who has its address: CPU, memory, interrupts and network card all work."""
    with ExitStack() as open_wires:
        (wire,) = (open_wires.enter_context(wire) for wire in hypervisor.connect_nics().values())
        return await anyio.to_thread.run_sync(_ask, wire)


def _ask(wire: socket.socket) -> bool:
    question = bytes(Ether(src=_US, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=_US, psrc="10.77.0.1", pdst=ADDRESS))
    wire.settimeout(_PATIENCE_S)
    wire.sendall(struct.pack(">I", len(question)) + question)
    while True:
        (length,) = struct.unpack(">I", _exactly(wire, 4))
        frame = Ether(_exactly(wire, length))
        if ARP in frame and frame[ARP].psrc == ADDRESS:
            return True


def _exactly(wire: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = wire.recv(count - len(data))
        if not piece:
            raise EOFError("QEMU closed the wire")
        data += piece
    return data
