"""The policy as a machine.

It does not flap, whatever it is fed: a stay in epochs lasts `trial_s` at least, and twice as long as the one
before, up to 16 times `trial_s`, unless lock-step has lasted as long as that in between. So there are no more
than 4 + T / `trial_s` changes of mode in any time T, and with a load that never agrees one try in
16 x `trial_s`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model.checkpoint.events import Pace
from colo.model.policy.figures import TICK_NS, WINDOW_NS, Done, Gauge, Tick, Waits, Window
from colo.model.policy.output import Output
from colo.model.policy.pace import EpochPace
from colo.model.policy.table import RESTS, TABLE, Finding, State, To
from colo.model.timers import soonest

if TYPE_CHECKING:
    from colo.model.checkpoint.events import Trigger
    from colo.model.policy.figures import Figures, Limits
    from colo.model.policy.output import Expect

SETTLE_NS = 1_000_000_000
"""Nothing is concluded from less."""
LONGEST = 16
"""The longest stay in epochs, in `trial_s`."""
HALF = 0.5
"""To come back, this part of the limits counts."""
_NS_PER_S = 1_000_000_000

_FIRST = {
    "auto": (State.LOCKSTEP, "protection begins in lock-step"),
    "lockstep": (State.ALWAYS_LOCKSTEP, "the configuration says so"),
    "epoch": (State.ALWAYS_EPOCH, "the configuration says so"),
}


class Policy:
    """One pairing's. `period_ns`: the longest time between checkpoints in lock-step, 0 for ever.

    `why` says the last decision in words, `since` when it was made, `changes` how many there were.
    """

    def __init__(self, limits: Limits, period_ns: int, now: int) -> None:
        self.limits = limits
        self.state, self.why = _FIRST[limits.mode]
        self.since = now
        self.changes = 0
        self.epochs = EpochPace(limits)
        self.wait_ns = limits.trial_s * _NS_PER_S
        self._period = period_ns
        self._window = Window()
        self._look_at = now + TICK_NS
        self._earliest = now
        self._output = Output()

    @property
    def rests(self) -> bool:
        """The secondary's VM is to rest."""
        return RESTS[self.state]

    def pace(self) -> Pace:
        """How checkpoints go on."""
        return Pace(self.epochs.latest_ns if self.rests else self._period, self.rests)

    def figures(self, now: int) -> Figures:
        """What was measured lately."""
        return self._window.figures(now)

    def next_timer(self) -> int | None:
        """When a Gauge is wanted, or in epochs a Tick."""
        if not self.rests:
            return self._look_at
        over = self.since + self.wait_ns if self.state is State.EPOCH else None
        return soonest(over, self._output.next_timer(self._earliest))

    def step(self, event: Done | Gauge | Waits | Tick, now: int) -> tuple[Pace | Trigger | Expect, ...]:
        """What the checkpoint machine has to be told."""
        match event:
            case Done():
                self._window.finished(event, now)
                self.epochs.finished(event.pause_ns, now)
                self._output.done(event.checkpoint, now)
                self._earliest = now + self.epochs.earliest_ns(now)
            case Gauge():
                self._window.looked(event, now)
                self._look_at = now + TICK_NS
            case Waits(epoch, only_acks):
                self._output.waits(epoch, now, only_acks=only_acks)
            case Tick():
                pass
        finding = self._finding(now)
        entry = TABLE[self.state][finding] if finding else None
        if isinstance(entry, To):
            self._go(entry, now)
            return (self.pace(),)
        return self._output.tell(self._earliest, now) if self.rests else ()

    def _finding(self, now: int) -> Finding | None:
        here = now - self.since
        if self.rests:
            return Finding.WAITED if here >= self.wait_ns else None
        figures = self.figures(now)
        if here < SETTLE_NS:
            return None
        if figures.reaches(self.limits):
            return Finding.DEAR
        if here < WINDOW_NS:
            return None
        return Finding.BETWEEN if figures.reaches(self.limits, HALF) else Finding.CHEAP

    def _go(self, to: To, now: int) -> None:
        self.why = to.why.format(figures=said(self.figures(now)), waited=f"{self.wait_ns // _NS_PER_S} s")
        if to.state is State.EPOCH:
            self._set_wait(now)
        self.changes += RESTS[to.state] is not self.rests
        self.state, self.since = to.state, now
        self._window.clear()
        self._look_at = now + TICK_NS

    def _set_wait(self, now: int) -> None:
        shortest = self.limits.trial_s * _NS_PER_S
        paid = self.changes == 0 or (self.state is State.LOCKSTEP and now - self.since >= self.wait_ns)
        self.wait_ns = shortest if paid else min(2 * self.wait_ns, LONGEST * shortest)


def said(figures: Figures) -> str:
    """The figures in words."""
    return (
        f"forced checkpoints took {figures.forced_percent:g} % of the time"
        f" ({figures.forced_per_s:g} per second), the VM stood still for {figures.paused_percent:g} %,"
        f" answers waited {figures.wait_percent:g} % of what they would in epochs,"
        f" agreement took {figures.lag_ms:g} ms"
    )
