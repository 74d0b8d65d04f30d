"""Builds the demo guest: Debian's cloud kernel and an initramfs of a few files."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from importlib import resources
from typing import TYPE_CHECKING

import attrs

from colo.guest import cpio
from colo.guest.debian import Archive, unpack
from colo.guest.modules import load_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUITE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_net", "button", "evdev")
FOLDERS = ("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "modules", "proc", "sys", "tmp")
COMMANDS = ("acpid", "cat", "insmod", "ip", "mount", "poweroff", "sh")
POWER_BUTTON = b"#!/bin/sh\npoweroff -f\n"

# no_timer_check: on a busy host the timer seems not to tick, and the guest would panic. cryptomgr.notests:
# boots 0.3 s faster.
GUEST_APPEND = "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests"
"""Kernel options of every demo guest. On top come `colo.ip=10.77.0.2/24` (eth0), `colo.ip1=` (eth1) and so
on, `colo.ipv6=fd77::2/64` (eth0), and `colo.gw=10.77.0.1` if it needs a route."""


@attrs.frozen
class GuestImage:
    """What QEMU's -kernel and -initrd take."""

    kernel: Path
    initramfs: Path


def build(output: Path, cache: Path, program: bytes, progress: Callable[[str], None]) -> GuestImage:
    """Writes `vmlinuz` and `initramfs` into `output`; `program` is what the guest runs (a static executable).

    Kernel and busybox are fetched once and kept in `cache`. The same parts give the same bytes. Raises
    CapabilityError when Debian's archive cannot be reached.
    """
    parts = _parts(cache.resolve() / "guest-parts", progress)
    output.mkdir(parents=True, exist_ok=True)
    image = GuestImage(output.resolve() / "vmlinuz", output.resolve() / "initramfs")
    initramfs = gzip.compress(cpio.archive(_entries(parts, program)), compresslevel=6, mtime=0)
    changed = [_replace(image.kernel, (parts / "vmlinuz").read_bytes()), _replace(image.initramfs, initramfs)]
    if any(changed):
        progress(f"guest: built in {output}, initramfs {hashlib.sha256(initramfs).hexdigest()[:12]}")
    return image


def _parts(folder: Path, progress: Callable[[str], None]) -> Path:
    """vmlinuz, busybox and the modules, fetched if they are not there."""
    if folder.exists():
        return folder
    progress(f"guest: fetching Debian's cloud kernel and busybox from {SUITE}")
    work = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    archive = Archive(work / "apt", (SUITE,))
    archive.update()
    for package in archive.fetch(archive.latest(KERNEL), "busybox-static"):
        unpack(package, work / "root")
    _select(work / "root", work / "parts")
    (work / "parts").rename(folder)
    shutil.rmtree(work)
    return folder


def _select(root: Path, parts: Path) -> None:
    (parts / "modules").mkdir(parents=True)
    shutil.copy(next(root.glob("boot/vmlinuz-*")), parts / "vmlinuz")
    shutil.copy(root / "bin/busybox", parts / "busybox")
    order = load_order(root / "lib/modules", MODULES)
    for path in order:
        shutil.copy(path, parts / "modules" / path.name)
    (parts / "modules/order").write_text("".join(f"{path.name}\n" for path in order))


def _entries(parts: Path, program: bytes) -> list[cpio.Entry]:
    init = resources.files("colo.guest").joinpath("init.sh").read_bytes()
    modules = sorted((parts / "modules").iterdir())
    return [
        *(cpio.directory(path) for path in FOLDERS),
        cpio.file("init", init, executable=True),
        cpio.file("etc/acpi/PWRF/00000080", POWER_BUTTON, executable=True),
        cpio.file("bin/busybox", (parts / "busybox").read_bytes(), executable=True),
        *(cpio.symlink(f"bin/{command}", "busybox") for command in COMMANDS),
        *(cpio.file(f"modules/{path.name}", path.read_bytes()) for path in modules),
        cpio.file("bin/colo-guest", program, executable=True),
    ]


def _replace(path: Path, content: bytes) -> bool:
    """Whether it had to be written. Renamed into place: a QEMU that starts meanwhile reads a whole file."""
    if path.exists() and path.read_bytes() == content:
        return False
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return True
