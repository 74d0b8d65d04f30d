"""Pre-copy ends, whatever the VM writes: decided after each round, from how much was written meanwhile.

A round sends what the round before left behind. Where that does not get less, another round is for nothing:
then the first checkpoint takes the rest, if its pause and its transfer are short enough for that. If they are
not, the VM is slowed down by short stops, a growing share of the time, as QEMU's auto-converge does inside
(docs/decisions/0019).
"""

from __future__ import annotations

from attrs import define, field, frozen

ENOUGH_PAGES = 2048
"""8 MiB: copying so much takes a few milliseconds of the first checkpoint's pause."""
MOST_PAGES = 51_200
"""200 MiB, about 100 ms of that pause: as much as the last resort before slowing the VM down may take."""
SHARES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Of the time that the VM is stopped, one after the other."""
_PROGRESS = 0.75
"""A round that leaves more than this of what the best one left has brought nothing."""
_PATIENCE = 2
"""Such rounds in a row."""
MAX_ROUNDS = 40


@frozen
class Round:
    """A round that is through. `left`: pages written while it was sent."""

    pages: int
    took_s: float
    left: int


@frozen
class Again:
    """Another round, with the VM stopped this share of the time."""

    stopped: float


@frozen
class Finish:
    """The first checkpoint takes the rest."""

    why: str


@define
class Convergence:
    """One pre-copy's."""

    staging_pages: int
    """What a checkpoint can carry at all."""
    transfer_s: float
    """How long the first checkpoint's transfer may take: the VM's output waits for it."""
    rounds: int = 0
    _best: int | None = None
    _in_vain: int = 0
    _step: int = field(default=0)

    @property
    def stopped(self) -> float:
        """The share of time that the VM is stopped at present."""
        return SHARES[self._step]

    def after(self, done: Round) -> Again | Finish:
        """What to do next."""
        self.rounds += 1
        if done.left <= ENOUGH_PAGES:
            return Finish(f"{done.left} pages are left")
        self._note(done.left)
        if self._in_vain < _PATIENCE and self.rounds < MAX_ROUNDS:
            return Again(self.stopped)
        if self._fits(done):
            return Finish(f"{done.left} pages are left, and rounds do not make them fewer")
        if self._step + 1 == len(SHARES) or self.rounds >= MAX_ROUNDS:
            return Finish(f"{done.left} pages are left, though the VM was slowed down")
        self._step += 1
        self._best, self._in_vain = None, 0
        return Again(self.stopped)

    def _note(self, left: int) -> None:
        better = self._best is None or left <= self._best * _PROGRESS
        self._in_vain = 0 if better else self._in_vain + 1
        self._best = left if self._best is None else min(self._best, left)

    def _fits(self, done: Round) -> bool:
        expected_s = done.left * done.took_s / max(done.pages, 1)
        return done.left <= min(self.staging_pages, MOST_PAGES) and expected_s <= self.transfer_s
