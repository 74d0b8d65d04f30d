"""Feeds the policy with what is measured, and the checkpoint machine with what it decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from colo.model.checkpoint.events import Reason
from colo.model.policy.figures import Done, Gauge

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import Relay
    from colo.agent.measures import CheckpointMeasure
    from colo.model.checkpoint.events import Pace, Trigger
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
    on_change: Callable[[Policy], None]
    """Called when it is decided to change, or to stay after a trial."""

    def finished(self, measure: CheckpointMeasure, now: int) -> None:
        """A checkpoint is loaded or stored, and the VM runs."""
        phases = measure.phases_ms
        pause_ns, took_ns = (int(phases[name] * _NS_PER_MS) for name in ("pause", "loaded"))
        self._step(Done(Reason(measure.reason), pause_ns, took_ns), now)

    def next_timer(self) -> int:
        """See `Policy.next_timer`."""
        return self.policy.next_timer()

    def handle_timer(self, now: int) -> None:
        """Looks at the comparison when that is due."""
        if now >= self.policy.next_timer():
            stats = self.relay.stats()
            lag_ns = stats["lag_p99_us"] * _NS_PER_US
            self._step(Gauge(lag_ns, stats["released_agreed"], stats["held_frames"]), now)

    def _step(self, event: Done | Gauge, now: int) -> None:
        before = self.policy.why
        for told in self.policy.step(event, now):
            self.tell(told, now)
        if self.policy.why != before:
            self.on_change(self.policy)
