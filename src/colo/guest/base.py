"""What our guests have in common: Debian's cloud kernel, busybox, some of the kernel's modules."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from typing import TYPE_CHECKING

import attrs

from colo.guest import cpio
from colo.guest.debian import Archive, fetched_once, unpack
from colo.guest.modules import load_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SUITE = "bookworm"
KERNEL = "linux-image-cloud-amd64"

# no_timer_check: on a busy host the timer seems not to tick, and the guest would panic. cryptomgr.notests:
# boots 0.3 s faster.
APPEND = "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests"
"""Kernel options of every guest."""


@attrs.frozen
class GuestImage:
    """What QEMU's -kernel and -initrd take."""

    kernel: Path
    initramfs: Path


def base_parts(folder: Path, modules: tuple[str, ...], progress: Callable[[str], None]) -> Path:
    """`folder` with vmlinuz, busybox and modules, in the order to load them; fetched if it is not there."""

    def select(archive: Archive, work: Path, parts: Path) -> None:
        progress(f"{folder.name}: fetching Debian's cloud kernel and busybox from {SUITE}")
        for package in archive.fetch(archive.latest(KERNEL), "busybox-static"):
            unpack(package, work / "root")
        _select(work / "root", parts, modules)

    return fetched_once(folder, (SUITE,), select)


def _select(root: Path, parts: Path, modules: tuple[str, ...]) -> None:
    (parts / "modules").mkdir()
    shutil.copy(next(root.glob("boot/vmlinuz-*")), parts / "vmlinuz")
    shutil.copy(root / "bin/busybox", parts / "busybox")
    order = load_order(root / "lib/modules", modules)
    for path in order:
        shutil.copy(path, parts / "modules" / path.name)
    (parts / "modules/order").write_text("".join(f"{path.name}\n" for path in order))


def base_entries(
    parts: Path, init: bytes, folders: Iterable[str], commands: Iterable[str]
) -> list[cpio.Entry]:
    """Of the initramfs: `init`, `folders` with bin and modules among them, busybox with its `commands`."""
    modules = sorted((parts / "modules").iterdir())
    return [
        *(cpio.directory(path) for path in folders),
        cpio.file("init", init, executable=True),
        cpio.file("bin/busybox", (parts / "busybox").read_bytes(), executable=True),
        *(cpio.symlink(f"bin/{command}", "busybox") for command in commands),
        *(cpio.file(f"modules/{path.name}", path.read_bytes()) for path in modules),
    ]


def write_image(
    output: Path, parts: Path, entries: list[cpio.Entry], progress: Callable[[str], None]
) -> GuestImage:
    """`vmlinuz` and `initramfs` in `output`. The same parts and entries give the same bytes."""
    output.mkdir(parents=True, exist_ok=True)
    image = GuestImage(output.resolve() / "vmlinuz", output.resolve() / "initramfs")
    initramfs = gzip.compress(cpio.archive(entries), compresslevel=6, mtime=0)
    changed = [_replace(image.kernel, (parts / "vmlinuz").read_bytes()), _replace(image.initramfs, initramfs)]
    if any(changed):
        digest = hashlib.sha256(initramfs).hexdigest()[:12]
        progress(f"{output.name}: built in {output}, initramfs {digest}")
    return image


def _replace(path: Path, content: bytes) -> bool:
    """Whether it had to be written. Renamed into place: a QEMU that starts meanwhile reads a whole file."""
    if path.exists() and path.read_bytes() == content:
        return False
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return True
