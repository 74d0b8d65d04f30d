"""The smallest guest: a boot sector that counts in a register and writes the number to memory, for ever.

The register is CPU state and the written number is RAM, so a state that is restored wrongly in either shows.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from colo.config import NicConfig, UnixUplink, VmConfig

if TYPE_CHECKING:
    import socket

    from colo.hypervisor import Hypervisor

MEMORY_MIB = 32
COUNTER_AT = 0x10000
_LOADED_AT = 0x7C00
_CODE = bytes.fromhex(
    "b80010"  # mov ax, 0x1000
    "8ed8"  # mov ds, ax
    "fa"  # cli
    "6631db"  # xor ebx, ebx
    "6643"  # loop: inc ebx
    "66891e0000"  # mov [0], ebx
    "ebf7"  # jmp loop
)
ON_SCREEN = bytes.fromhex(
    "b800b8"  # mov ax, 0xb800
    "8ec0"  # mov es, ax
    "b80010"  # mov ax, 0x1000
    "8ed8"  # mov ds, ax
    "fa"  # cli
    "6631db"  # xor ebx, ebx
    "6643"  # loop: inc ebx
    "66891e0000"  # mov [0], ebx
    "2666891e0000"  # mov es:[0], ebx
    "ebf1"  # jmp loop
)
"""Counts in the memory of a VGA card as well."""
BACKWARDS = _CODE.replace(bytes.fromhex("6643"), bytes.fromhex("664b"))  # dec ebx
"""Counts down, with code at the same addresses."""
CARD = NicConfig("52:54:00:c0:10:01", UnixUplink(Path("/nowhere")))
_SECTOR = 512
_DISK_BYTES = 4 << 20  # SeaBIOS reads nothing of a disk smaller than a cylinder


def boot_disk(folder: Path, code: bytes = _CODE) -> Path:
    """A disk of which SeaBIOS boots the first sector."""
    disk = folder / "boot.img"
    disk.write_bytes(code.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa")
    os.truncate(disk, _DISK_BYTES)
    return disk


def counting_vm(qemu: Path, disk: Path, machine: str = "q35", **changes: object) -> VmConfig:
    """A VM with the counting guest and one network card."""
    described: dict[str, object] = {
        "name": "count",
        "memory_mib": MEMORY_MIB,
        "nic": (CARD,),
        "machine": machine,
        "accel": "tcg",
        "qemu": str(qemu),
        "extra": (
            "-drive",
            f"if=none,id=boot,format=raw,readonly=on,file={disk}",
            "-device",
            "virtio-blk-pci,drive=boot",
        ),
        **changes,
    }
    return VmConfig(**described)  # type: ignore[arg-type]


class Ram:
    """A mapping of a guest's RAM."""

    def __init__(self, hypervisor: Hypervisor, mib: int = MEMORY_MIB) -> None:
        self.bytes = mmap.mmap(hypervisor.ram_fd, mib << 20)

    def count(self) -> int:
        """The number that the guest wrote last."""
        return int(struct.unpack_from("<I", self.bytes, COUNTER_AT)[0])

    async def counting(self, code: bytes = _CODE) -> None:
        """Wait until the boot sector runs (nobody tells: the guest has no means to)."""
        with anyio.fail_after(30):
            while self.bytes[_LOADED_AT : _LOADED_AT + len(code)] != code:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            await self.goes_on(self.count())

    async def goes_on(self, count: int) -> None:
        """Wait until the guest has counted beyond `count`."""
        with anyio.fail_after(10):
            while self.count() == count:  # noqa: ASYNC110
                await anyio.sleep(0.005)


async def checkpoint(primary: Hypervisor, secondary: Hypervisor, rams: tuple[Ram, Ram]) -> int:
    """One checkpoint, with the whole RAM; gives the number that it carried."""
    await primary.begin_save()
    await primary.save()
    ram = rams[0].bytes[:]
    await primary.cont()
    state = await primary.read_state()
    await secondary.stop_clean()
    rams[1].bytes[:] = ram
    await secondary.load(state)
    rams[1].bytes[:] = ram  # what reset and load wrote is mended
    return rams[1].count()


async def printed(hypervisor: Hypervisor, text: str) -> None:
    """Wait until the guest printed it on its console."""
    seen = ""
    with anyio.fail_after(50):
        while text not in seen:
            seen += await hypervisor.console()
            await anyio.sleep(0.05)


async def power_off(hypervisor: Hypervisor) -> None:
    """Ask the chipset (q35, set up by SeaBIOS) for ACPI's sleep state S5, as an operating system does."""
    # QEMU 7.2 and 10.0 take this register as a word only; the monitor of 11.1 loses words.
    for command in ("o /w 0x604 0x2000", "o /b 0x605 0x20"):
        await hypervisor._qmp.execute("human-monitor-command", {"command-line": command})
    await becomes(hypervisor, "shutdown")


async def becomes(hypervisor: Hypervisor, state: str) -> None:
    """Wait for a run state."""
    with anyio.fail_after(10):
        while await hypervisor.run_state() != state:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def read_by_peer(wire: socket.socket) -> None:
    """Wait until the other end has read all that was sent (unix(7), SIOCOUTQ)."""
    with anyio.fail_after(5):
        while struct.unpack("i", fcntl.ioctl(wire, termios.TIOCOUTQ, bytes(4)))[0]:  # noqa: ASYNC110
            await anyio.sleep(0.005)
