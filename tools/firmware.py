"""UEFI firmware for the tests: Debian's OVMF, as `<cache>/firmware/OVMF_CODE.fd` and `OVMF_VARS.fd`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from colo.guest.debian import Archive, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUITE = "bookworm"
FILES = {"OVMF_CODE_4M.fd": "OVMF_CODE.fd", "OVMF_VARS_4M.fd": "OVMF_VARS.fd"}


def provide(cache: Path, progress: Callable[[str], None]) -> None:
    """Fetches it, if it is not there. Raises CapabilityError when Debian's archive cannot be reached."""
    folder = cache.resolve() / "firmware"
    if folder.exists():
        return
    progress(f"firmware: fetching OVMF from {SUITE}")
    work = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    archive = Archive(work / "apt", (SUITE,))
    archive.update()
    for package in archive.fetch("ovmf"):
        unpack(package, work / "root")
    (work / "files").mkdir()
    for theirs, ours in FILES.items():
        shutil.copy(work / "root/usr/share/OVMF" / theirs, work / "files" / ours)
    (work / "files").rename(folder)
    shutil.rmtree(work)
