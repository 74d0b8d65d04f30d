"""What an attempt found, and what follows from all of one system's. Pure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LOOPBACK, SLOW = "loopback", "slow"
SETTLE_S = 8.0
"""By then our policy has seen a load for as long as it looks back (5 s), and chosen a mode for it. What comes
later is what an operator has all day; the first answers are told beside it. Of both systems alike.
"""
NAMES = ("x-colo", "colo")


@define
class Attempt:
    """A new pair, from the boot to a failover. What was measured before it went wrong stays."""

    sync_s: float | None = None
    """From the command until both run on from the same state."""
    checkpoints: int = 0
    idle_ms: list[float] = field(factory=list)
    """Pauses, without a load."""
    apart_ms: list[float] = field(factory=list)
    """What a client waited for pages that differ on every request, with a connection for each (it waits for
    two answers, one is to its SYN), once `SETTLE_S` of the load have passed.
    """
    apart_first_ms: list[float] = field(factory=list)
    """In those first seconds."""
    kept_ms: list[float] = field(factory=list)
    """As `apart_ms`, all on one connection."""
    kept_first_ms: list[float] = field(factory=list)
    replica_whole: bool = False
    """It answered after the loss of the primary."""
    ended: str = ""
    """What went wrong; nothing if it went through."""


@frozen
class Figure:
    """A row of the table. `goals`: the largest share of x-colo's that is good enough, by link; none for what
    is only told beside another row.
    """

    title: str
    key: str
    goals: Mapping[str, float] = field(factory=dict)
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


_DIFFERING = "differing answer"
_QUARTER = {LOOPBACK: 1 / 4, SLOW: 1 / 4}
FIGURES = (
    Figure("first sync, s", "sync_s", {LOOPBACK: 1 / 2, SLOW: 1 / 2}),
    Figure("idle pause, ms", "idle_ms", {LOOPBACK: 1.0, SLOW: 1 / 3}),
    Figure(f"{_DIFFERING}, a connection each, ms", "apart_ms", _QUARTER, needs_replica=True),
    Figure(f"its first {SETTLE_S:g} s, a connection each, ms", "apart_first_ms", needs_replica=True),
    Figure(f"{_DIFFERING}, on one connection, ms", "kept_ms", _QUARTER, needs_replica=True),
    Figure(f"its first {SETTLE_S:g} s, on one connection, ms", "kept_first_ms", needs_replica=True),
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
