"""The kernel of this machine: its version, its clock, and what it offers for following guest memory."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

from colo.check.finding import Finding, fail, ok, warn

_CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_FAST_CLOCKS = frozenset({"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"})
_SYS_USERFAULTFD = 323  # x86-64, asm/unistd_64.h
_UFFD_USER_MODE_ONLY = 1  # linux/userfaultfd.h


def kernel() -> Finding:
    """Linux on x86-64, in any version: what is needed of it is tried, below."""
    system = platform.uname()
    found = f"{system.system} {system.release} on {system.machine}"
    if (system.system, system.machine) != ("Linux", "x86_64"):
        return fail("kernel", found, "colo needs Linux on x86-64")
    return ok("kernel", found)


def clock(clocksource: Path = _CLOCKSOURCE) -> Finding:
    """Only durations are compared between hosts, never dates; but reading the time has to be cheap."""
    try:
        source = clocksource.read_text().strip()
    except OSError:
        source = "unknown"
    if source not in _FAST_CLOCKS:
        hint = "reading the time is slow with this clock, for QEMU too; tsc would be better (see dmesg)"
        return warn("clock", f"clock source {source}", hint)
    return ok("clock", f"clock source {source}; the hosts' dates need not agree")


def dirty_tracking() -> Finding:
    """Which way of finding written pages works here; each is tried on a mapping of our own."""
    try:
        from colo._core import probe_trackers  # noqa: PLC0415 - its absence is a finding
    except ImportError as e:
        return fail("dirty pages", f"the Rust core is not built: {e}", "run `make setup`")
    tried = probe_trackers()
    usable = [kind for kind, works, _ in tried if works]
    missing = "; ".join(f"{kind}: {why}" for kind, works, why in tried if not works)
    if not usable:
        return fail("dirty pages", missing, "use Linux 6.7 or newer, with userfaultfd allowed")
    if usable[0] != tried[0][0]:
        hint = (
            f"checkpoints take longer than with {tried[0][0]}: Linux 6.7 or newer, with userfaultfd allowed"
        )
        return warn("dirty pages", f"by {usable[0]} ({missing})", hint)
    return ok("dirty pages", f"by {usable[0]}")


def userfaultfd() -> Finding:
    """Whether this user may make one (user mode only, which is enough)."""
    try:
        os.close(open_userfaultfd())
    except OSError as error:
        hint = "a container may forbid the system call userfaultfd: allow it"
        return warn("userfaultfd", error.strerror or str(error), hint)
    return ok("userfaultfd", "allowed for this user")


def open_userfaultfd() -> int:
    """One for this process; the caller closes it. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.syscall(_SYS_USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK | _UFFD_USER_MODE_ONLY))
    if fd < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return fd
