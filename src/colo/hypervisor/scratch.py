"""The folder for guest memory: private, in memory itself (tmpfs), gone after use.

The RAM file takes memory page by page, as the VM first uses it (docs/decisions/0030).
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import attrs

from colo.errors import StateFolderError
from colo.hypervisor.host_memory import available

MIB = 1 << 20
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made here is private (0700) and unpredictable
_PROC = Path("/proc")
_MOUNTS = _PROC / "self/mountinfo"
_HUGE = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
"""`[force]`: huge pages in every tmpfs, whatever its mount says (Linux, admin-guide/mm/transhuge)."""


@attrs.frozen
class Scratch:
    """A folder 0700 on a tmpfs, with the RAM file of the VM open in `ram_fd`."""

    folder: Path
    ram_fd: int

    @property
    def ram_path(self) -> Path:
        """The RAM file, until `forget_ram`."""
        return self.folder / "ram"

    def forget_ram(self) -> None:
        """Unlink the RAM file; it lives as long as QEMU and `ram_fd` hold it."""
        self.ram_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder and everything in it."""
        os.close(self.ram_fd)
        shutil.rmtree(self.folder, ignore_errors=True)


def make_scratch(run_dir: Path, size: int, fallback: Path = _SHARED_MEMORY) -> Scratch:
    """Make the folder, with a RAM file of `size` bytes, in `run_dir` if that is a tmpfs, else in `fallback`.

    Raises `StateFolderError` when neither place has the room, or the host has not that much memory now. That
    it will have it when the VM uses it, is not sure.
    """
    if (free := available(_PROC)) < size:
        raise StateFolderError(
            f"no place for {size // MIB} MiB of guest memory (only {free // MIB} MiB are available)",
            "free memory, or lower vm.memory_mib",
        )
    reasons = []
    for base in (run_dir, fallback):
        if reason := _unsuitable(base, size):
            reasons.append(f"{base}: {reason}")
            continue
        folder = Path(tempfile.mkdtemp(prefix="colo-vm-", dir=base))
        try:
            return Scratch(folder, _create(folder / "ram", size))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            reasons.append(f"{base}: {error.strerror}")
    raise StateFolderError(
        f"no place for {size // MIB} MiB of guest memory ({'; '.join(reasons)})",
        "free memory, make the tmpfs larger (mount -o remount,size=...), or lower vm.memory_mib",
    )


def _create(path: Path, size: int) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.truncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def _unsuitable(base: Path, size: int) -> str | None:
    options = _tmpfs_options(base)
    if options is None:
        return "not a tmpfs"
    if options.get("huge", "never") != "never":
        return f"mounted with huge={options['huge']}, whose holes are not reported; needs huge=never"
    if _HUGE.exists() and "[force]" in _HUGE.read_text():
        return f"{_HUGE} is force: huge pages in every tmpfs, whose holes are not reported; needs never"
    usage = os.statvfs(base)
    free = usage.f_bavail * usage.f_frsize
    # A tmpfs without a limit (size=0) reports no blocks at all.
    if usage.f_blocks and free < size:
        return f"{os.strerror(errno.ENOSPC)}, only {free // MIB} MiB are free"
    return None


def _tmpfs_options(folder: Path) -> dict[str, str] | None:
    """Mount options of the tmpfs that holds the folder, None if it is on something else.

    See proc(5), mountinfo.
    """
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _MOUNTS.read_text().splitlines():
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split(" ", 2)
        if mount.split(" ")[2] == wanted and kind == "tmpfs":
            return {
                name: value for name, _, value in (option.partition("=") for option in options.split(","))
            }
    return None
