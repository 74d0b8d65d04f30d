"""When an answer that waits in epochs asks for a checkpoint, and when one is to be expected.

An answer asks at once. An acknowledgement by itself does not: a client seldom waits for it, and a guest
mostly sends it the moment before the answer, which would then miss the cut and wait for one more checkpoint.
"""

from __future__ import annotations

from attrs import define, frozen

from colo.model.checkpoint.events import Reason, Trigger
from colo.model.timers import soonest

ACKS_NS = 5_000_000
"""So long it waits for an answer to go with it."""
QUIET_NS = 10_000_000
"""After a checkpoint, its clients and the guest have the processors."""


@frozen
class Expect:
    """A checkpoint may be asked for soon: what can be prepared for it should be."""


@define
class Output:
    """What the PVM said that waits, by epoch."""

    _waits: int = 0
    _asked: int = 0
    _done: int = 0
    _due: int = 0
    _expect_at: int | None = None

    def waits(self, epoch: int, now: int, *, only_acks: bool) -> None:
        """Something of this epoch does."""
        due = now + ACKS_NS if only_acks else now
        self._due = due if epoch > self._waits else min(due, self._due)
        self._waits = epoch
        self._expect_at = now

    def done(self, checkpoint: int, now: int) -> None:
        """A checkpoint is: what began to wait before it does so no more."""
        self._done, self._asked = checkpoint, 0
        self._expect_at = now if self._must_ask else now + QUIET_NS

    def next_timer(self, earliest: int) -> int | None:
        """When `tell` has something to say, if no checkpoint may be asked for before `earliest`."""
        asks = max(earliest, self._due) if self._must_ask else None
        return soonest(asks, self._expect_at)

    def tell(self, earliest: int, now: int) -> tuple[Trigger | Expect, ...]:
        """What is to be told now."""
        expected = self._expect_at is not None and now >= self._expect_at
        if expected:
            self._expect_at = None
        if self._must_ask and now >= max(earliest, self._due):
            self._asked = self._waits
            return (Trigger(Reason.OUTPUT),)
        return (Expect(),) if expected else ()

    @property
    def _must_ask(self) -> bool:
        """While one is in flight, the checkpoint machine drops what it is asked: then it is asked again."""
        return self._waits > max(self._done, self._asked)
