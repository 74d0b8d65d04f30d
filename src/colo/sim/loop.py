"""Time: a queue of calls. True time is in ns from 0; no host sees it, each has a clock of its own."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MS = 1_000_000
"""One millisecond in nanoseconds."""


class Loop:
    """Calls in the order of their times; calls of the same time in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0
        self._order = count()
        self._queue: list[tuple[int, int, Callable[[], None]]] = []

    def after(self, delay: int, call: Callable[[], None]) -> None:
        """Calls `delay` ns from now."""
        heapq.heappush(self._queue, (self.now + max(delay, 0), next(self._order), call))

    def run(self, until: int) -> None:
        """Lets time pass up to `until`."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, call = heapq.heappop(self._queue)
            call()
        self.now = until
