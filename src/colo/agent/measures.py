"""What checkpoints cost: phases of the last ones, the pause, counts by reason."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 4096
"""Checkpoints whose measures are kept."""


@define
class CheckpointMeasure:
    """One checkpoint: milliseconds by phase, what was moved. `pause` is from before the stop to after the
    resumption.
    """

    checkpoint: int
    reason: str
    began: float
    phases_ms: dict[str, float] = Factory(dict)
    pages: int = 0
    page_bytes: int = 0
    state_bytes: int = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures the block."""
        began = monotonic()
        try:
            yield
        finally:
            self.phases_ms[name] = round((monotonic() - began) * 1000, 3)

    def mark(self, name: str) -> None:
        """Notes the time since the trigger."""
        self.phases_ms[name] = round((monotonic() - self.began) * 1000, 3)


@frozen
class Summary:
    """All that happened in this pairing and before."""

    total: int
    by_reason: dict[str, int]
    median_pause_ms: float | None
    last: CheckpointMeasure | None


class Measures:
    """Kept over pairings."""

    def __init__(self) -> None:
        self._by_reason: Counter[str] = Counter()
        self._done: deque[CheckpointMeasure] = deque(maxlen=KEPT)

    def begin(self, checkpoint: int, reason: str) -> CheckpointMeasure:
        """A checkpoint was triggered."""
        return CheckpointMeasure(checkpoint, reason, monotonic())

    def done(self, measure: CheckpointMeasure) -> None:
        """It is committed and loaded."""
        self._by_reason[measure.reason] += 1
        self._done.append(measure)

    @property
    def total(self) -> int:
        """How many were done; see `after`."""
        return sum(self._by_reason.values())

    def after(self, total: int) -> tuple[CheckpointMeasure, ...]:
        """Those done since `total` was this, oldest first, as far as they are kept."""
        new = self.total - total
        return tuple(self._done)[-new:] if new else ()

    def summary(self) -> Summary:
        """For `colo status`."""
        pauses = [done.phases_ms["pause"] for done in self._done]
        return Summary(
            self.total,
            dict(self._by_reason),
            round(median(pauses), 3) if pauses else None,
            self._done[-1] if self._done else None,
        )
