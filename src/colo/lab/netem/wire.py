"""The VM between two taps: what it is told, and how it is started."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from attrs import frozen

from colo.guest.base import APPEND

if TYPE_CHECKING:
    from pathlib import Path

    from colo.guest import GuestImage

_MEMORY_MIB = 96


@frozen
class Netem:
    """A cable with netem on either way. `rules` are words of tc-netem(8): `("loss", "1%")`."""

    qemu: Path
    image: GuestImage
    rules: tuple[str, ...]
    offloads: bool = False
    """Of its taps: frames are no longer than the MTU."""

    def command(self, one: int, other: int) -> tuple[str, ...]:
        """The program that carries frames from one tap to the other until its standard input ends."""
        return (sys.executable, "-m", "colo.lab.netem", *self.qemu_command(one, other))

    def qemu_command(self, one: int, other: int) -> tuple[str, ...]:
        """QEMU with the VM; its console is standard input and output."""
        append = f"{APPEND} ipv6.disable=1 colo.netem={','.join(self.rules)}"
        nics = (
            part
            for number, tap in enumerate((one, other))
            for part in (
                *("-netdev", f"tap,id=n{number},fd={tap}"),
                *("-device", f"virtio-net-pci,netdev=n{number}"),
            )
        )
        machine = ("-machine", "pc,accel=tcg", "-m", str(_MEMORY_MIB), "-nodefaults", "-no-reboot")
        console = ("-display", "none", "-serial", "stdio")
        kernel = ("-kernel", str(self.image.kernel), "-initrd", str(self.image.initramfs), "-append", append)
        return (str(self.qemu), *machine, *console, *kernel, *nics)
