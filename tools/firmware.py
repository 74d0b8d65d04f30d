"""UEFI firmware for the tests: Debian's OVMF, as `<cache>/firmware/OVMF_CODE.fd` and `OVMF_VARS.fd`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from colo.guest.debian import fetched_once, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colo.guest.debian import Archive

SUITE = "bookworm"
FILES = {"OVMF_CODE_4M.fd": "OVMF_CODE.fd", "OVMF_VARS_4M.fd": "OVMF_VARS.fd"}


def provide(cache: Path, progress: Callable[[str], None]) -> None:
    """Fetches it, if it is not there. Raises CapabilityError when Debian's archive cannot be reached."""
    folder = cache.resolve() / "firmware"

    def select(archive: Archive, work: Path, parts: Path) -> None:
        progress(f"firmware: fetching OVMF from {SUITE}")
        for package in archive.fetch("ovmf"):
            unpack(package, work / "root")
        for theirs, ours in FILES.items():
            shutil.copy(work / "root/usr/share/OVMF" / theirs, parts / ours)

    fetched_once(folder, (SUITE,), select)
