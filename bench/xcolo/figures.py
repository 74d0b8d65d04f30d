"""What an attempt found, and what follows from all of one system's. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOOPBACK, SLOW = "loopback", "slow"
NAMES = ("x-colo", "colo")


@define
class Attempt:
    """A new pair, from the boot to a failover. What was measured before it went wrong stays."""

    sync_s: float | None = None
    """From the command until both run on from the same state."""
    checkpoints: int = 0
    idle_ms: list[float] = field(factory=list)
    """Pauses, without a load."""
    differing_ms: list[float] = field(factory=list)
    """What a client waited for pages that differ on every request."""
    replica_whole: bool = False
    """It answered after the loss of the primary."""
    ended: str = ""
    """What went wrong; nothing if it went through."""


@frozen
class Figure:
    """A row of the table. `goals`: the largest share of x-colo's that is good enough, by link."""

    title: str
    key: str
    goals: dict[str, float]
    needs_replica: bool = False
    """Without one, it is the time-out of the comparison that was measured."""

    def values(self, attempts: Sequence[Attempt]) -> list[float]:
        """Of all attempts that count."""
        found: list[float] = []
        for attempt in attempts:
            value = getattr(attempt, self.key)
            if value is not None and (attempt.replica_whole or not self.needs_replica):
                found += value if isinstance(value, list) else [value]
        return found


FIGURES = (
    Figure("first sync, s", "sync_s", {LOOPBACK: 1 / 2, SLOW: 1 / 2}),
    Figure("idle pause, ms", "idle_ms", {LOOPBACK: 1.0, SLOW: 1 / 3}),
    Figure("differing answer, ms", "differing_ms", {LOOPBACK: 1 / 4, SLOW: 1 / 4}, needs_replica=True),
)


def ratio(figure: Figure, theirs: Sequence[Attempt], ours: Sequence[Attempt]) -> float | None:
    """Our median as a share of theirs; None where one of them has no number."""
    numbers = [figure.values(side) for side in (ours, theirs)]
    return median(numbers[0]) / median(numbers[1]) if all(numbers) else None


@frozen
class Moment:
    """An event of QEMU's: when (seconds of `time.monotonic`), and its name."""

    at: float
    name: str


def pauses_ms(moments: Iterable[Moment], since: float) -> list[float]:
    """From each STOP to the RESUME after it, of those that began after `since`."""
    found, stopped = [], None
    for moment in moments:
        if moment.name == "STOP":
            stopped = moment.at
        elif moment.name == "RESUME" and stopped is not None:
            if stopped >= since:
                found.append((moment.at - stopped) * 1000)
            stopped = None
    return found


def stands_still_s(moments: Iterable[Moment], now: float) -> float:
    """For how long the guest has stood still without a RESUME; 0 while it runs."""
    stopped = None
    for moment in moments:
        if moment.name in {"STOP", "RESUME"}:
            stopped = moment.at if moment.name == "STOP" else None
    return 0.0 if stopped is None else now - stopped
