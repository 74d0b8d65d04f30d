"""What lock-step costs, measured over the last seconds, and how much of it is too much.

The limits are shares of time, so that they mean the same on slow and fast hosts.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from colo.model.checkpoint.events import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

WINDOW_NS = 5_000_000_000
"""Figures are over so long."""
TICK_NS = 1_000_000_000
"""Between two gauges in lock-step."""
KEPT = 1024
"""Checkpoints and gauges of a window that are kept, the last ones."""
_PERCENT = 100
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000

FORCED = frozenset({Reason.MISMATCH, Reason.HOLD_LIMIT, Reason.QUEUE_LIMIT})
"""Checkpoints that lock-step needs because the copies do not agree, or not in time."""

Wanted = Literal["auto", "lockstep", "epoch"]


@frozen
class Limits:
    """The policy's part of the `[checkpoint]` section. What reaches one of the first four is too much for
    lock-step; after a time in epochs each must be below half.
    """

    mode: Wanted = "auto"
    forced_percent: int = 50
    paused_percent: int = 20
    wait_percent: int = 70
    lag_ms: int = 500
    trial_s: int = 10
    epoch_min_ms: int = 0
    epoch_max_ms: int = 200


@frozen
class Done:
    """A checkpoint is finished. An answer had waited for `waited_ns` when it was triggered; from then on it
    took `commit_ns` to RECEIVED and `took_ns` to LOADED or STORED; for `pause_ns` the VM stood still.
    """

    checkpoint: int
    reason: Reason
    pause_ns: int
    commit_ns: int
    took_ns: int
    waited_ns: int = 0


@frozen
class Gauge:
    """A look at the comparison. `lag_ns`: within which 99 of 100 frames found their twin; `agreed`: frames
    that found it since the start of the pairing; `held`: frames that wait now.
    """

    lag_ns: int
    agreed: int
    held: int


@frozen
class Waits:
    """What the PVM said in this epoch waits for a checkpoint: acknowledgements by themselves, or more."""

    epoch: int
    only_acks: bool = False


@frozen
class Tick:
    """The time that `next_timer` named has come, in epochs."""


@frozen
class Figures:
    """Of the window. `wait_percent`: what answers waited for forced checkpoints, as a share of what they and
    those that agreed would have waited in epochs. `wait_percent` and `lag_ms` are the least that was seen in
    all of it, 0 when there was nothing to wait for.
    """

    forced_percent: float
    paused_percent: float
    wait_percent: float
    lag_ms: float
    forced_per_s: float

    def reaches(self, limits: Limits, part: float = 1.0) -> bool:
        """Whether any of them is at that part of its limit, or beyond."""
        return (
            self.forced_percent >= part * limits.forced_percent
            or self.paused_percent >= part * limits.paused_percent
            or self.wait_percent >= part * limits.wait_percent
            or self.lag_ms >= part * limits.lag_ms
        )


@frozen
class _Look:
    """What a gauge said of the time since the one before."""

    lag_ns: int
    wait_percent: float


@define
class Window:
    """The last seconds, since `clear` at most. What is shorter than the window counts as if the rest were
    quiet.
    """

    _done: deque[tuple[int, Done]] = field(factory=lambda: deque(maxlen=KEPT))
    _looks: deque[tuple[int, _Look]] = field(factory=lambda: deque(maxlen=KEPT))
    _since_look: deque[Done] = field(factory=lambda: deque(maxlen=KEPT))
    _agreed: int = 0

    def clear(self) -> None:
        """Forgets all."""
        self._done.clear()
        self._looks.clear()
        self._since_look.clear()

    def finished(self, done: Done, now: int) -> None:
        """Takes in a checkpoint."""
        if done.reason in FORCED:
            self._done.append((now, done))
            self._since_look.append(done)

    def looked(self, gauge: Gauge, now: int) -> None:
        """Takes in a gauge."""
        agreed, self._agreed = gauge.agreed - self._agreed, gauge.agreed
        active = gauge.held > 0 or agreed != 0
        wait = _wait_share(self._since_look, max(agreed, 0))
        self._since_look.clear()
        self._looks.append((now, _Look(gauge.lag_ns if active else 0, wait)))

    def figures(self, now: int) -> Figures:
        """Of the window that ends now."""
        for seen in (self._done, self._looks):
            while seen and seen[0][0] <= now - WINDOW_NS:
                seen.popleft()
        done = [one for _, one in self._done]
        looks = [look for _, look in self._looks] if len(self._looks) >= WINDOW_NS // TICK_NS else []
        return Figures(
            forced_percent=_share(one.waited_ns + one.took_ns for one in done),
            paused_percent=_share(one.pause_ns for one in done),
            wait_percent=min((look.wait_percent for look in looks), default=0.0),
            lag_ms=min((look.lag_ns for look in looks), default=0) / _NS_PER_MS,
            forced_per_s=round(len(done) * _NS_PER_S / WINDOW_NS, 1),
        )


def _wait_share(forced: Collection[Done], agreed: int) -> float:
    """In epochs each answer would have waited for a commit, those that agreed as well."""
    commits = sum(done.commit_ns for done in forced)
    if commits == 0:
        return 0.0
    waited = sum(done.waited_ns for done in forced) + commits
    return round(_PERCENT * waited / (commits * (1 + agreed / len(forced))), 1)


def _share(times: Iterable[int]) -> float:
    return round(min(sum(times) / WINDOW_NS, 1.0) * _PERCENT, 1)
