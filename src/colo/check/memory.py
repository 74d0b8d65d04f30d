"""Memory: guest RAM lies in tmpfs, in small pages, never swapped, and a secondary holds it twice."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from colo.check.finding import Finding, fail, ok, warn
from colo.hypervisor.host_memory import available as available_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colo.config import Config

MIB = 1 << 20
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at only
_PROC = Path("/proc")
_SHMEM_HUGE = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
_UNWANTED = frozenset({"always", "within_size", "force"})


def huge_pages(setting: Path = _SHMEM_HUGE, proc: Path = _PROC) -> Finding:
    """Huge pages in tmpfs are followed as a whole at best, and holes in them not at all."""
    name = "huge pages in tmpfs"
    hint = f"echo never > {setting}; mount -o remount,huge=never {_SHARED_MEMORY}"
    chosen = re.search(r"\[(\w+)\]", setting.read_text()) if setting.exists() else None
    if chosen and chosen[1] in _UNWANTED:
        return warn(name, f"{setting} is {chosen[1]}", hint)
    for mount, options in _tmpfs_mounts(proc):
        wanted = re.search(r"\bhuge=(\w+)", options)
        if mount == str(_SHARED_MEMORY) and wanted and wanted[1] in _UNWANTED:
            return warn(name, f"{mount} is mounted with huge={wanted[1]}", hint)
    return ok(name, chosen[1] if chosen else "not offered by this kernel")


def swap(proc: Path = _PROC) -> Finding:
    """Guest RAM in tmpfs can be swapped out like any other."""
    devices = [line.split()[0] for line in (proc / "swaps").read_text().splitlines()[1:] if line.strip()]
    if devices:
        hint = "guest memory can be swapped out, and a checkpoint then waits for the disk: swapoff -a"
        return warn("swap", f"on: {', '.join(devices)}", hint)
    return ok("swap", "off")


def largest(proc: Path = _PROC) -> Finding:
    """Without a VM to measure against: how large one could be, by the arithmetic of `room`."""
    available = available_memory(proc) // MIB
    text = (
        f"{available} MiB are available: enough for a VM of {available // 3} MiB with all that a pair needs"
    )
    return ok("memory", text)


def room(config: Config, proc: Path = _PROC) -> Finding:
    """Either host can become the secondary: guest RAM, its exact copy, and an incoming checkpoint aside."""
    name = "memory"
    memory, staging = config.vm.memory_mib, config.checkpoint.max_staging_mib
    needed = 2 * memory + min(memory, staging)
    available = available_memory(proc) // MIB
    folder = _ram_folder(config, proc)
    if folder is None:
        return fail(
            name, "neither run_dir nor /dev/shm is a tmpfs", "mount one: mount -t tmpfs none /dev/shm"
        )
    free = _free_mib(folder)
    text = f"{needed} MiB may be needed, {available} MiB are available, {free} MiB free in {folder}"
    if available < needed:
        return fail(name, text, "free memory, or lower vm.memory_mib or checkpoint.max_staging_mib")
    if free < memory:
        return fail(name, text, f"make it larger: mount -o remount,size={memory + free + 64}M {folder}")
    return ok(name, text)


def _ram_folder(config: Config, proc: Path) -> Path | None:
    mounts = {mount for mount, _ in _tmpfs_mounts(proc)}
    for folder in (config.agent.run_dir, _SHARED_MEMORY):
        if str(_mount_of(folder)) in mounts:
            return folder if folder.exists() else _mount_of(folder)
    return None


def _mount_of(folder: Path) -> Path:
    folder = folder.resolve()
    while not folder.is_mount() and folder != folder.parent:
        folder = folder.parent
    return folder


def _free_mib(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize // MIB


def _tmpfs_mounts(proc: Path) -> Iterator[tuple[str, str]]:
    """Mount point and super block options; proc(5), mountinfo."""
    for line in (proc / "self" / "mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = (*rest.split(maxsplit=2), "", "")[:3]
        if kind == "tmpfs":
            yield fields.split()[4], options
