"""How often checkpoints come in epochs.

Answers wait for the next one, so it should come as soon as an answer waits; each stops the VM, so there
should not be too many. A budget settles it: the VM may stand still for `paused_percent` of the time, the same
limit as for lock-step. What is not used is saved up, for half a second: answers that come one by one need not
wait for the budget, and under a stream of them checkpoints come at the rate that it allows. What makes the
pause longer, above all pages to copy, makes checkpoints rarer by itself.

The account is kept as the time when it will be even (as the generic cell rate algorithm does, ITU-T I.371):
each checkpoint moves that time on by what its pause has to be spread over.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from colo.model.policy.figures import Limits

PAUSES = 9
"""The usual pause is the median of so many."""
SAVED_NS = 500_000_000
"""How far checkpoints may run ahead of the budget."""
_NS_PER_MS = 1_000_000
_PERCENT = 100


@define
class EpochPace:
    """The bounds of the time from the end of one checkpoint to the next."""

    limits: Limits
    _even_at: int = 0
    _pauses: deque[int] = field(factory=lambda: deque(maxlen=PAUSES))

    def finished(self, pause_ns: int, now: int) -> None:
        """A checkpoint stopped the VM for so long."""
        self._pauses.append(pause_ns)
        spread = pause_ns * _PERCENT // self.limits.paused_percent
        self._even_at = min(max(self._even_at, now) + spread, now + SAVED_NS + self.latest_ns)

    @property
    def pause_ns(self) -> int:
        """The usual pause; 0 when nothing was measured yet."""
        return int(median(self._pauses)) if self._pauses else 0

    def earliest_ns(self, now: int) -> int:
        """From now to the next one that an answer asks for, if one has just ended."""
        return max(self._even_at - SAVED_NS - now, self.limits.epoch_min_ms * _NS_PER_MS)

    @property
    def latest_ns(self) -> int:
        """From the end of one to the next that nobody asks for."""
        return self.limits.epoch_max_ms * _NS_PER_MS
