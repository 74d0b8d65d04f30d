"""What lock-step costs, measured over the last seconds, and how much of it is too much.

The limits are shares of time, so that they mean the same on slow and fast hosts.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from colo.model.checkpoint.events import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """The policy's part of the `[checkpoint]` section. What reaches one of the first three is too much for
    lock-step; after a time in epochs each must be below half.
    """

    mode: Wanted = "auto"
    forced_percent: int = 50
    paused_percent: int = 20
    lag_ms: int = 500
    trial_s: int = 10
    epoch_min_ms: int = 5
    epoch_max_ms: int = 200


@frozen
class Done:
    """A checkpoint is finished. `took_ns`: from its trigger to LOADED or STORED; `pause_ns`: of that the VM
    stood still.
    """

    reason: Reason
    pause_ns: int
    took_ns: int


@frozen
class Gauge:
    """A look at the comparison. `lag_ns`: within which 99 of 100 frames found their twin; `agreed`: frames
    that found it since the start of the pairing; `held`: frames that wait now.
    """

    lag_ns: int
    agreed: int
    held: int


@frozen
class Figures:
    """Of the window. `lag_ms`: the least that was seen in all of it, 0 when there was nothing to agree on."""

    forced_percent: float
    paused_percent: float
    lag_ms: float
    forced_per_s: float

    def reaches(self, limits: Limits, part: float = 1.0) -> bool:
        """Whether any of them is at that part of its limit, or beyond."""
        return (
            self.forced_percent >= part * limits.forced_percent
            or self.paused_percent >= part * limits.paused_percent
            or self.lag_ms >= part * limits.lag_ms
        )


@define
class Window:
    """The last seconds, since `clear` at most. What is shorter than the window counts as if the rest were
    quiet.
    """

    _done: deque[tuple[int, Done]] = field(factory=lambda: deque(maxlen=KEPT))
    _lags: deque[tuple[int, int]] = field(factory=lambda: deque(maxlen=KEPT))
    _agreed: int = 0

    def clear(self) -> None:
        """Forgets all."""
        self._done.clear()
        self._lags.clear()

    def finished(self, done: Done, now: int) -> None:
        """Takes in a checkpoint."""
        if done.reason in FORCED:
            self._done.append((now, done))

    def looked(self, gauge: Gauge, now: int) -> None:
        """Takes in a gauge."""
        active = gauge.held > 0 or gauge.agreed != self._agreed
        self._agreed = gauge.agreed
        self._lags.append((now, gauge.lag_ns if active else 0))

    def figures(self, now: int) -> Figures:
        """Of the window that ends now."""
        for seen in (self._done, self._lags):
            while seen and seen[0][0] <= now - WINDOW_NS:
                seen.popleft()
        done = [one for _, one in self._done]
        full = len(self._lags) >= WINDOW_NS // TICK_NS
        return Figures(
            forced_percent=_share(one.took_ns for one in done),
            paused_percent=_share(one.pause_ns for one in done),
            lag_ms=min(lag for _, lag in self._lags) / _NS_PER_MS if full else 0.0,
            forced_per_s=round(len(done) * _NS_PER_S / WINDOW_NS, 1),
        )


def _share(times: Iterable[int]) -> float:
    return round(min(sum(times) / WINDOW_NS, 1.0) * _PERCENT, 1)
