"""Feeds the policy with what is measured, and the checkpoint machine with what it decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from colo.model.checkpoint.events import Pace, Reason
from colo.model.policy.figures import Done, Gauge, Tick, Waits
from colo.model.policy.output import Expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import Relay
    from colo.agent.measures import CheckpointMeasure
    from colo.model.checkpoint.events import Trigger
    from colo.model.policy.machine import Policy

_NS_PER_MS = 1_000_000
_NS_PER_US = 1_000


@define(eq=False)
class Pacing:
    """One pairing's. Called by the decision loop only."""

    policy: Policy
    relay: Relay
    tell: Callable[[Pace | Trigger, int], None]
    """Gives the checkpoint machine an event."""
    expect: Callable[[], None]
    """A checkpoint may be asked for soon."""
    on_change: Callable[[Policy], None]
    """Called when it is decided to change, or to stay after a trial."""

    def __attrs_post_init__(self) -> None:
        self.relay.watch_output(self.policy.rests)

    def finished(self, measure: CheckpointMeasure, now: int) -> None:
        """A checkpoint is loaded or stored, and the VM runs."""
        done = Done(
            checkpoint=measure.checkpoint,
            reason=Reason(measure.reason),
            pause_ns=int(measure.phases_ms["pause"] * _NS_PER_MS),
            commit_ns=int(measure.phases_ms["commit"] * _NS_PER_MS),
            took_ns=int(measure.phases_ms["loaded"] * _NS_PER_MS),
            waited_ns=measure.waited_ms * _NS_PER_MS,
        )
        self._step(done, now)

    def output_waits(self, epoch: int, now: int, *, only_acks: bool) -> None:
        """The relay holds what the VM said in this epoch."""
        self._step(Waits(epoch, only_acks), now)

    def next_timer(self) -> int | None:
        """See `Policy.next_timer`."""
        return self.policy.next_timer()

    def handle_timer(self, now: int) -> None:
        """In lock-step, looks at the comparison when that is due."""
        due = self.policy.next_timer()
        if due is not None and now >= due:
            self._step(Tick() if self.policy.rests else self._gauge(), now)

    def _gauge(self) -> Gauge:
        stats = self.relay.stats()
        return Gauge(stats["lag_p99_us"] * _NS_PER_US, stats["released_agreed"], stats["held_frames"])

    def _step(self, event: Done | Gauge | Waits | Tick, now: int) -> None:
        before = self.policy.why
        for told in self.policy.step(event, now):
            if isinstance(told, Expect):
                self.expect()
                continue
            if isinstance(told, Pace):
                self.relay.watch_output(told.rest)
            self.tell(told, now)
        if self.policy.why != before:
            self.on_change(self.policy)
