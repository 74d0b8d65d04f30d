"""How fast this machine does what grows with a VM: copying pages, and looking for written ones."""

from __future__ import annotations

import os
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from attrs import frozen

from colo.check.machine import open_userfaultfd
from colo.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import GuestRam

_MIB = 1 << 20
_TIMES = 9


@frozen
class Speed:
    """Medians. `scan_ms_per_gib` is None where the tracker of choice does not work."""

    copy_mib_s: float
    scan_ms_per_gib: float | None


def measure(mib: int = 256) -> Speed:
    """On memory of this process, less than a second. Raises CapabilityError when there is none for it."""
    from colo import _core  # noqa: PLC0415 - as in `dirty_tracking`

    try:
        fd = os.memfd_create("colo-plan", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, mib * _MIB)
            ram = _core.GuestRam(fd, mib * _MIB)
        finally:
            os.close(fd)
        staging = _core.Staging(ram, mib * _MIB)
    except OSError as error:
        raise CapabilityError(
            f"no {3 * mib} MiB for the measurement: {error.strerror}", "run without --measure"
        ) from error
    every = _core.PageSet.all(mib * _MIB // _core.PAGE_SIZE)
    copied = _seconds(lambda: staging.gather(every))
    return Speed(mib / copied, _scan_ms(ram, mib))


def _scan_ms(ram: GuestRam, mib: int) -> float | None:
    from colo import _core  # noqa: PLC0415

    try:
        fd = open_userfaultfd()
    except OSError:
        return None  # `colo check` says why
    try:
        ram.hash()  # every page has its table entry now
        tracker = _core.Tracker("pagemap-scan", os.getpid(), ram, fd)
        return _seconds(lambda: tracker.collect(stopped=True)) * 1000 / (mib / 1024)
    except (OSError, RuntimeError):
        return None
    finally:
        os.close(fd)


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMES):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return median(times)
