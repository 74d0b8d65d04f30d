"""Builds the demo guest: a kernel, and an initramfs of a few files."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from colo.guest import cpio
from colo.guest.base import APPEND, GuestImage, base_entries, base_parts, write_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULES = ("virtio_pci", "virtio_net", "button", "evdev")
FOLDERS = ("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "modules", "proc", "sys", "tmp")
COMMANDS = ("acpid", "cat", "insmod", "ip", "mount", "poweroff", "sh")
POWER_BUTTON = b"#!/bin/sh\npoweroff -f\n"

GUEST_APPEND = APPEND
"""Kernel options of every demo guest. On top come `colo.ip=10.77.0.2/24` (eth0), `colo.ip1=` (eth1) and so
on, `colo.ipv6=fd77::2/64` (eth0), and `colo.gw=10.77.0.1` if it needs a route."""


def build(output: Path, cache: Path, program: bytes, progress: Callable[[str], None]) -> GuestImage:
    """Writes `vmlinuz` and `initramfs` into `output`; `program` is what the guest runs (a static executable).

    Kernel and busybox are fetched once and kept in `cache`. The same parts give the same bytes. Raises
    CapabilityError when Debian's archive cannot be reached.
    """
    parts = base_parts(cache.resolve() / "guest-parts", MODULES, progress)
    init = resources.files("colo.guest").joinpath("init.sh").read_bytes()
    entries = [
        *base_entries(parts, init, FOLDERS, COMMANDS),
        cpio.file("etc/acpi/PWRF/00000080", POWER_BUTTON, executable=True),
        cpio.file("bin/colo-guest", program, executable=True),
    ]
    return write_image(output, parts, entries, progress)
