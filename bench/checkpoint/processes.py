"""What agents and QEMUs take of processor and memory, by the kernel's account (proc(5))."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from colo.lab.pair import HOSTS

if TYPE_CHECKING:
    from colo.lab.pair import Pair

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12
"""Fields of `stat`, counted from the one behind the name."""


@frozen
class Usage:
    """Processor time of all threads so far, user and kernel; memory that is not guest RAM or a file."""

    cpu_ms: float
    anonymous_mib: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Of a process now."""
        process = Path("/proc") / str(pid)
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        anonymous = re.search(r"^RssAnon:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
        assert anonymous
        return cls((int(fields[_UTIME]) + int(fields[_STIME])) * _TICK_MS, int(anonymous[1]) / 1024)


def usages(pair: Pair) -> dict[str, Usage]:
    """Of each host's agent and QEMU, as `alpha agent`."""
    found: dict[str, Usage] = {}
    for name in HOSTS:
        host = pair.hosts[name]
        assert host.qemu is not None
        found |= {f"{name} agent": Usage.of(host.agent.pid), f"{name} QEMU": Usage.of(host.qemu.pid)}
    return found


def used(before: dict[str, Usage], after: dict[str, Usage], seconds: float) -> dict[str, Any]:
    """Per process: milliseconds of processor in a second, MiB at the end."""
    return {
        name: {
            "cpu_ms_per_s": round((after[name].cpu_ms - before[name].cpu_ms) / seconds, 1),
            "anonymous_mib": round(after[name].anonymous_mib, 1),
        }
        for name in before
    }
