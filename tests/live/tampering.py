"""Bytes of a running agent's memory, changed behind its back (`/proc/PID/mem`, proc(5))."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = 4096
_FLIPS = 64


def ram_of(agent: int, size: int) -> int:
    """Where the agent has mapped its VM's RAM. No tracker sees what is written there."""
    return _mapping(agent, size, "rw-s")


def cache_of(agent: int, size: int) -> int:
    """Where a secondary's agent keeps the RAM cache: the anonymous mapping of this size."""
    return _mapping(agent, size, "rw-p")


def look(agent: int, start: int, size: int) -> bytes:
    """What this memory holds now."""
    with Path(f"/proc/{agent}/mem").open("rb", buffering=0) as memory:
        memory.seek(start)
        return memory.read(size)


def flip(agent: int, start: int, before: bytes, *, used: bool) -> None:
    """Changes one bit each of many pages all over this memory: of pages that hold something, or of pages of
    zeros; only of those that are as they were `before`, which nobody writes.
    """
    content = look(agent, start, len(before))
    settled = [at for at in range(0, len(content), PAGE) if content[at : at + PAGE] == before[at : at + PAGE]]
    pages = [at for at in settled if any(content[at : at + PAGE]) is used]
    assert len(pages) >= _FLIPS
    with Path(f"/proc/{agent}/mem").open("r+b", buffering=0) as memory:
        for at in pages[:: len(pages) // _FLIPS]:
            memory.seek(start + at)
            memory.write(bytes([content[at] ^ 1]))


def _mapping(pid: int, size: int, access: str) -> int:
    found = [
        int(match[1], 16)
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if (match := re.match(rf"([0-9a-f]+)-([0-9a-f]+) {access} ", line))
        and int(match[2], 16) - int(match[1], 16) == size
    ]
    assert len(found) == 1, f"{len(found)} mappings of {size} bytes with {access}"
    return found[0]
