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
NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/iso-codes", "var")

# A static shell, as a shell that loads libraries would load what LD_PRELOAD names for QEMU.
LAUNCHER = """\
#!{shell} sh
here={folder}
exec $here/usr/bin/qemu-system-x86_64 --argv0 qemu-system-x86_64 --inhibit-cache --library-path {libraries} \\
    $here/usr/bin/qemu-system-x86_64.elf "$@"
"""


@attrs.frozen
class Release:
    """A version of QEMU and the suites of Debian that have it; later groups serve when the first is gone."""

    version: str
    groups: tuple[tuple[str, ...], ...]


RELEASES = (
    Release("7.2", (("bookworm",),)),
    Release("10.0", (("bookworm-backports", "bookworm"), ("trixie",))),
)


def provide(cache: Path, progress: Callable[[str], None]) -> list[Path]:
    """Makes every release ready to start; returns the launchers. Does nothing for those that are there."""
    return [_provide(cache.resolve() / "qemu" / release.version, release, progress) for release in RELEASES]


def _provide(folder: Path, release: Release, progress: Callable[[str], None]) -> Path:
    launcher = folder / "qemu-system-x86_64"
    if _works(launcher, release.version):
        return launcher
    shutil.rmtree(folder, ignore_errors=True)
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
    """Whether it starts and says the right version. A cache that was moved fails here, and is made again."""
    try:
        done = subprocess.run(
            [launcher, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return False
    return done.stdout.startswith(f"QEMU emulator version {version}.")


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
    shutil.rmtree(folder, ignore_errors=True)
    root.rename(folder)
    shutil.rmtree(work)


def _write_launcher(folder: Path, launcher: Path) -> None:
    """Puts the loader under QEMU's name and in its place, to load QEMU from beside.

    So /proc/PID/exe and comm look as always, and QEMU finds its modules and firmware, which it looks for
    relative to its own place.
    """
    binary = folder / "usr/bin/qemu-system-x86_64"
    binary.rename(binary.with_suffix(".elf"))
    shutil.copy(_find(folder, "x86_64-linux-gnu/ld-linux-x86-64.so.2"), binary)
    libraries = ":".join(str(folder / part) for part in LIBRARIES)
    launcher.write_text(LAUNCHER.format(shell=_find(folder, "busybox"), folder=folder, libraries=libraries))
    launcher.chmod(0o755)


def _find(folder: Path, name: str) -> Path:
    """A file that older releases have in /bin or /lib, newer ones in /usr/bin or /usr/lib."""
    for place in ("bin", "lib", "usr/bin", "usr/lib"):
        if (folder / place / name).exists():
            return folder / place / name
    raise CapabilityError(f"{folder}: no {name} in the packages")
