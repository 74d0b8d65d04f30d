"""A bad cable: it loses, delays and reorders frames, the same ones for the same seed.

What netem does on kernels that have it (tc-netem(8)), by a process of our own between two taps, because many
kernels have it not.
"""

from __future__ import annotations

import heapq
import random

from attrs import define, field, frozen

QUEUE = 1000
"""Frames that may be on their way in one direction; one more is lost, as in netem."""


@frozen
class Impairment:
    """For each direction. `loss` and `reorder` are shares of frames; a frame that is reordered overtakes all
    that are on their way.
    """

    loss: float = 0.0
    delay_ms: float = 0.0
    reorder: float = 0.0
    seed: int = 1


@define(eq=False)
class Line:
    """One direction, without I/O or clock: times are seconds of the caller's."""

    impairment: Impairment
    number: int
    lost: int = 0
    passed: int = 0
    _draw: random.Random = field(init=False)
    _waiting: list[tuple[float, int, bytes]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._draw = random.Random(f"{self.impairment.seed} {self.number}")  # noqa: S311 - no secret

    def put(self, frame: bytes, now: float) -> None:
        """A frame goes in."""
        lost, reordered = self._draw.random(), self._draw.random()
        if lost < self.impairment.loss or len(self._waiting) >= QUEUE:
            self.lost += 1
            return
        self.passed += 1
        delay = 0.0 if reordered < self.impairment.reorder else self.impairment.delay_ms / 1000
        heapq.heappush(self._waiting, (now + delay, self.passed, frame))

    def take(self, now: float) -> list[bytes]:
        """The frames that come out by now."""
        out = []
        while self._waiting and self._waiting[0][0] <= now:
            out.append(heapq.heappop(self._waiting)[2])
        return out

    def next_time(self) -> float | None:
        """When the next one comes out."""
        return self._waiting[0][0] if self._waiting else None
