"""The secondary's side of a checkpoint, as a table: what each event means in each state."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from colo.model.checkpoint.actions import (
    EnterEpoch,
    ForgetCheckpoint,
    ForgetCut,
    LoadDevices,
    MendPages,
    ReadyToPromote,
    ResumeSvm,
    SecondaryAction,
)
from colo.model.checkpoint.events import (
    DevicesLoaded,
    Mended,
    Planned,
    PrimaryLost,
    Restored,
    StateComplete,
    StateDamaged,
    StepFailed,
    Stored,
    SvmResumed,
    SvmStopped,
)
from colo.model.table import OWN_BUG, PEER_ERROR, Fault, each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class State(Enum):
    """Where the replica is."""

    EMPTY = "empty"  # no checkpoint yet: nothing that could run
    RUNNING = "running"  # runs epoch `epoch`; its checkpoint may be coming in
    RESTING = "resting"  # stopped; the cache has checkpoint `epoch` - 1, the next may be coming in
    STORING = "storing"  # from here to RESUMING: received, being put in place
    STOPPING = "stopping"
    RESTORING = "restoring"
    LOADING = "loading"
    MENDING = "mending"
    RESUMING = "resuming"
    READY = "ready"  # the primary is gone, the VM here runs and may be promoted
    LOST = "lost"


class Rule(Enum):
    """Entries that are more than a transition."""

    PLAN = "what follows the checkpoint that comes next"
    RECEIVE = "the checkpoint is whole: say so, and put it in place"
    STORED = "the cache has it: stop the VM if it runs; then rest or restore, as planned"
    STOPPED = "rest or restore, as planned"
    DISTRUST = "the checkpoint is damaged: what is here is good, the primary's stream is not"
    RESUMED = "the next epoch runs here"
    WAKE = "the primary is lost while the VM rests: load the last stored checkpoint, then be ready"
    FINISH_ALONE = "the primary is lost after RECEIVED: finish, run, then be ready"
    LOSE = "the replica is lost"
    IGNORE = "nothing"


@frozen
class To:
    """A transition; each action is made for the checkpoint that is being put in place."""

    state: State
    do: tuple[Callable[[int], SecondaryAction], ...]


Entry = To | Rule | Fault


def _next_epoch(checkpoint: int) -> EnterEpoch:
    return EnterEpoch(checkpoint + 1)


def _ready(_checkpoint: int) -> ReadyToPromote:
    return ReadyToPromote()


_REPORTS = (Stored, SvmStopped, Restored, DevicesLoaded, Mended, SvmResumed)
FROM_PRIMARY = (Planned, StateComplete, StateDamaged)
"""What the link brings, and may bring late."""


def _placing(report: type, entry: Entry) -> Mapping[type, Entry]:
    """A row of a state that puts a received checkpoint in place: the report it waits for, and the rest."""
    return {
        **each(OWN_BUG, *_REPORTS),
        StepFailed: Rule.LOSE,
        PrimaryLost: Rule.FINISH_ALONE,
        **each(PEER_ERROR, *FROM_PRIMARY),  # the next one must wait for our answer
        report: entry,
    }


TABLE: Mapping[State, Mapping[type, Entry]] = {
    State.EMPTY: {
        Planned: Rule.PLAN,
        StateComplete: Rule.RECEIVE,
        **each(Rule.LOSE, StateDamaged, PrimaryLost),
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.RUNNING: {
        Planned: Rule.PLAN,
        StateComplete: Rule.RECEIVE,
        StateDamaged: Rule.DISTRUST,
        PrimaryLost: To(State.READY, (ForgetCheckpoint, ForgetCut, _ready)),
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.RESTING: {
        Planned: Rule.PLAN,
        StateComplete: Rule.RECEIVE,
        StateDamaged: Rule.DISTRUST,
        PrimaryLost: Rule.WAKE,
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.STORING: _placing(Stored, Rule.STORED),
    State.STOPPING: _placing(SvmStopped, Rule.STOPPED),
    State.RESTORING: _placing(Restored, To(State.LOADING, (LoadDevices,))),
    State.LOADING: _placing(DevicesLoaded, To(State.MENDING, (MendPages,))),
    State.MENDING: _placing(Mended, To(State.RESUMING, (_next_epoch, ResumeSvm))),
    State.RESUMING: _placing(SvmResumed, Rule.RESUMED),
    State.READY: {
        # What the relay had queued before the link was dropped.
        **each(Rule.IGNORE, *FROM_PRIMARY, PrimaryLost),
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.LOST: each(Rule.IGNORE, *_REPORTS, StepFailed, *FROM_PRIMARY, PrimaryLost),
}
