"""How much memory the host has to give."""

from __future__ import annotations

import re
from pathlib import Path


def available(proc: Path = Path("/proc")) -> int:
    """Bytes without swapping; proc(5), MemAvailable."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
