"""Builds the cable's VM: the demo guest's kernel with netem and a bridge, and Debian's tc."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import resources
from typing import TYPE_CHECKING

from colo.guest import cpio
from colo.guest.base import SUITE, GuestImage, base_entries, base_parts, write_image
from colo.guest.debian import fetched_once, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colo.guest.debian import Archive

MODULES = ("virtio_pci", "virtio_net", "bridge", "sch_netem")
_LIBRARIES = "lib/x86_64-linux-gnu"
FOLDERS = ("bin", "dev", "lib", _LIBRARIES, "lib64", "modules", "proc", "sys")
COMMANDS = ("brctl", "cat", "insmod", "ip", "mount", "poweroff", "sh", "tr")
_LOADER = "ld-linux-x86-64.so.2"
_LIST_S = 60
_NEEDED = re.compile(r" => (\S+) ")


def build(cache: Path, progress: Callable[[str], None]) -> GuestImage:
    """Writes `vmlinuz` and `initramfs` into the folder netem of `cache`; what they are made of is fetched
    once. CapabilityError when Debian's archive cannot be reached.
    """
    cache = cache.resolve()
    parts = base_parts(cache / "netem-parts", MODULES, progress)
    tc = fetched_once(cache / "tc-parts", (SUITE,), _select_tc)
    init = resources.files("colo.lab.netem").joinpath("init.sh").read_bytes()
    entries = [
        *base_entries(parts, init, FOLDERS, COMMANDS),
        cpio.file("bin/tc", (tc / "tc").read_bytes(), executable=True),
        cpio.symlink(f"lib64/{_LOADER}", f"/{_LIBRARIES}/{_LOADER}"),
        *(
            cpio.file(f"{_LIBRARIES}/{path.name}", path.read_bytes(), executable=True)
            for path in sorted((tc / "lib").iterdir())
        ),
    ]
    return write_image(cache / "netem", parts, entries, progress)


def _select_tc(archive: Archive, work: Path, parts: Path) -> None:
    """The program and the libraries it loads, the loader among them."""
    root = work / "root"
    for package in archive.fetch_closure("iproute2"):
        unpack(package, root)
    (parts / "lib").mkdir()
    shutil.copy(root / "sbin/tc", parts / "tc")
    folders = (root / _LIBRARIES, root / "usr" / _LIBRARIES)
    loader = (str(folders[0] / _LOADER), "--library-path", ":".join(map(str, folders)))
    command = (*loader, "--list", str(parts / "tc"))
    listed = subprocess.run(command, capture_output=True, text=True, timeout=_LIST_S, check=True)
    for path in _NEEDED.findall(listed.stdout):
        shutil.copy(path, parts / "lib")
