"""The policy as a table: what each finding means in each state."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(Enum):
    """What is done, and whether that is final."""

    LOCKSTEP = "lockstep"
    TRIAL = "trial"  # lock-step, for a window: do the copies agree again?
    EPOCH = "epoch"
    ALWAYS_LOCKSTEP = "always-lockstep"  # by configuration
    ALWAYS_EPOCH = "always-epoch"


class Finding(Enum):
    """What the figures say."""

    DEAR = "a limit is reached"
    BETWEEN = "no limit is reached, but half of one"
    CHEAP = "all is below half of the limits"
    WAITED = "the time in epochs is over"


@frozen
class To:
    """A change, and why. Fields of `why`: {figures}, {waited}."""

    state: State
    why: str


class Stay(Enum):
    """No change."""

    STAY = "as before"


Entry = To | Stay
STAY = Stay.STAY

RESTS: Mapping[State, bool] = {
    State.LOCKSTEP: False,
    State.TRIAL: False,
    State.EPOCH: True,
    State.ALWAYS_LOCKSTEP: False,
    State.ALWAYS_EPOCH: True,
}
"""Whether the secondary's VM rests."""

_DIFFER = "lock-step cost too much: {figures}"

TABLE: Mapping[State, Mapping[Finding, Entry]] = {
    State.LOCKSTEP: {
        Finding.DEAR: To(State.EPOCH, _DIFFER),
        Finding.BETWEEN: STAY,
        Finding.CHEAP: STAY,
        Finding.WAITED: STAY,
    },
    State.TRIAL: {
        Finding.DEAR: To(State.EPOCH, "tried again, " + _DIFFER),
        Finding.BETWEEN: To(
            State.EPOCH, "tried again, lock-step was not cheap enough to come back: {figures}"
        ),
        Finding.CHEAP: To(State.LOCKSTEP, "the copies agree again: {figures}"),
        Finding.WAITED: STAY,
    },
    State.EPOCH: {
        Finding.WAITED: To(State.TRIAL, "lock-step is tried again after {waited} in epochs"),
        Finding.DEAR: STAY,
        Finding.BETWEEN: STAY,
        Finding.CHEAP: STAY,
    },
    State.ALWAYS_LOCKSTEP: dict.fromkeys(Finding, STAY),
    State.ALWAYS_EPOCH: dict.fromkeys(Finding, STAY),
}
