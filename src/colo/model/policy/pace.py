"""How often checkpoints come in epochs.

Answers wait for the next one, so they should come often; each stops the VM, so they should not. Two things
decide:

- **at the earliest** when the pause is no more than a tenth of the time from the end of one to the next. What
  makes the pause longer, above all pages to copy, makes checkpoints rarer by itself;
- **when an answer waits**; without one, at the latest after `epoch_max_ms`, so that the pages that pile up
  stay few.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from colo.model.policy.figures import Limits

PAUSES = 9
"""The median of so many counts: one slow checkpoint changes nothing."""
SHARE = 10
"""The VM runs at least so many times as long as it stands still."""
_NS_PER_MS = 1_000_000


@define
class EpochPace:
    """The bounds of the time between two checkpoints."""

    limits: Limits
    _pauses: deque[int] = field(factory=lambda: deque(maxlen=PAUSES))

    def finished(self, pause_ns: int) -> None:
        """A checkpoint stopped the VM for so long."""
        self._pauses.append(pause_ns)

    @property
    def pause_ns(self) -> int:
        """The usual pause; 0 when nothing was measured yet."""
        return int(median(self._pauses)) if self._pauses else 0

    @property
    def earliest_ns(self) -> int:
        """From the end of one checkpoint to the next that an answer asks for."""
        return min(max(SHARE * self.pause_ns, self.look_ns), self.latest_ns)

    @property
    def latest_ns(self) -> int:
        """From the end of one to the next that nobody asks for."""
        return self.limits.epoch_max_ms * _NS_PER_MS

    @property
    def look_ns(self) -> int:
        """How often to look whether an answer waits."""
        return self.limits.epoch_min_ms * _NS_PER_MS
