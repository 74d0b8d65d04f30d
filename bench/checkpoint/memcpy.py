"""How fast this machine copies memory: the least that a checkpoint's dirty pages can cost."""

from __future__ import annotations

import ctypes
from statistics import median
from time import perf_counter

SIZE = 64 << 20
"""More than the second-level cache holds, as much as a busy VM writes between two checkpoints."""
_TIMES = 15


def copy_rate() -> float:
    """Bytes per second of the C library's memcpy by one thread, median of some copies."""
    source, target = (ctypes.create_string_buffer(SIZE) for _ in range(2))
    ctypes.memset(source, 1, SIZE)
    ctypes.memset(target, 2, SIZE)  # both have their memory now
    times = []
    for _ in range(_TIMES):
        began = perf_counter()
        ctypes.memmove(target, source, SIZE)
        times.append(perf_counter() - began)
    return SIZE / median(times)
