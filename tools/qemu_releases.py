"""The QEMU versions that colo is tested on, each with the libraries and data of its own release.

`<cache>/qemu/<version>/qemu-system-x86_64` starts one. It shares nothing with the machine but the kernel:
neither an installed QEMU nor another libc disturbs it. The process that is started IS QEMU: same pid.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import attrs

from colo.errors import CapabilityError
from colo.guest.debian import Archive, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
FIRMWARE = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")
MODULES = "usr/lib/x86_64-linux-gnu/qemu"
NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/iso-codes", "var")

NEWEST = "newest"
_SAYS = "QEMU emulator version "

# A static shell, as a shell that loads libraries would load what LD_PRELOAD names for QEMU.
LAUNCHER = """\
#!{shell} sh
export QEMU_MODULE_DIR={modules}
exec {folder}/usr/bin/qemu-system-x86_64 --argv0 qemu-system-x86_64 \\
    --inhibit-cache --library-path {libraries} \\
    {folder}/usr/bin/qemu-system-x86_64.elf {firmware} "$@"
"""


@attrs.frozen
class Release:
    """A version of QEMU and the suites of Debian that have it; later groups serve when the first is gone.

    `newest` is whatever is the newest when it is fetched; `colo check` and tests show which that is.
    """

    version: str
    groups: tuple[tuple[str, ...], ...]


RELEASES = (
    Release("7.2", (("bookworm",),)),
    Release("10.0", (("bookworm-backports", "bookworm"), ("trixie",))),
    Release(NEWEST, (("sid",), ("trixie-backports", "trixie"))),
)


def provide(cache: Path, progress: Callable[[str], None]) -> list[Path]:
    """Makes every release ready to start; returns the launchers. Does nothing for those that are there."""
    return [_provide(cache.resolve() / "qemu" / release.version, release, progress) for release in RELEASES]


def _provide(folder: Path, release: Release, progress: Callable[[str], None]) -> Path:
    launcher = folder / "qemu-system-x86_64"
    if folder.exists():
        _write_launcher(folder, launcher)
    if _works(launcher, release.version):
        return launcher
    failures = []
    for suites in release.groups:
        progress(f"QEMU {release.version}: fetching it with its libraries from {suites[0]}")
        try:
            _fetch(folder, suites)
        except CapabilityError as error:
            failures.append(str(error))
            continue
        _write_launcher(folder, launcher)
        if _works(launcher, release.version):
            return launcher
        failures.append(f"{suites[0]} has no QEMU {release.version}")
    raise CapabilityError(f"QEMU {release.version}: " + "; ".join(failures))


def _works(launcher: Path, version: str) -> bool:
    """Whether it starts and says the right version."""
    try:
        done = subprocess.run(
            [launcher, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return False
    return done.stdout.startswith(_SAYS if version == NEWEST else f"{_SAYS}{version}.")


def _fetch(folder: Path, suites: tuple[str, ...]) -> None:
    """Unpacks into a folder aside first: what has the right name is whole."""
    work = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    archive = Archive(work / "apt", suites)
    archive.update()
    root = work / "root"
    for package in (*archive.fetch_closure("qemu-system-x86"), *archive.fetch("busybox-static")):
        unpack(package, root)
    for part in NOT_NEEDED:
        shutil.rmtree(root / part, ignore_errors=True)
    _put_loader_first(root)
    shutil.rmtree(folder, ignore_errors=True)
    root.rename(folder)
    shutil.rmtree(work)


def _put_loader_first(root: Path) -> None:
    """Puts the loader under QEMU's name, to load it from beside: /proc/PID/exe and comm look as always."""
    binary = root / "usr/bin/qemu-system-x86_64"
    binary.rename(binary.with_suffix(".elf"))
    shutil.copy(_find(root, "x86_64-linux-gnu/ld-linux-x86-64.so.2"), binary)


def _write_launcher(folder: Path, launcher: Path) -> None:
    """Paths are absolute: some builds look for firmware and modules beside themselves, some in /usr."""
    text = LAUNCHER.format(
        shell=_find(folder, "busybox"),
        folder=folder,
        libraries=":".join(str(folder / part) for part in LIBRARIES),
        firmware=" ".join(f"-L {folder / part}" for part in FIRMWARE),
        modules=folder / MODULES,
    )
    if not launcher.exists() or launcher.read_text() != text:
        launcher.write_text(text)
        launcher.chmod(0o755)


def _find(folder: Path, name: str) -> Path:
    """A file that older releases have in /bin or /lib, newer ones in /usr/bin or /usr/lib."""
    for place in ("bin", "lib", "usr/bin", "usr/lib"):
        if (folder / place / name).exists():
            return folder / place / name
    raise CapabilityError(f"{folder}: no {name} in the packages")
