"""The secondary's side of a checkpoint.

Everything for checkpoint n is collected aside, nothing is changed, until it is whole: then the secondary
says RECEIVED and must finish, with or without the primary. Lost primary before that: forget n and run on. A
step that fails after it leaves neither the old state nor the new one: the replica is lost, the primary is
told, and nothing is promoted.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from colo.model.checkpoint.actions import (
    ApplyPages,
    Deliver,
    EnterEpoch,
    ForgetCheckpoint,
    ForgetCut,
    LoadDevices,
    LosePrimary,
    LoseReplica,
    MendPages,
    ReadyToPromote,
    ResumeSvm,
    SayLoaded,
    SayReceived,
    SecondaryAction,
    StopSvm,
)
from colo.model.checkpoint.events import (
    Applied,
    DevicesLoaded,
    Mended,
    PrimaryLost,
    SecondaryEvent,
    StateComplete,
    StateDamaged,
    StepFailed,
    SvmResumed,
    SvmStopped,
)
from colo.model.errors import PeerError
from colo.model.table import OWN_BUG, PEER_ERROR, Fault, blame, each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class State(Enum):
    """Where the replica is."""

    EMPTY = "empty"  # no checkpoint yet: nothing that could run
    RUNNING = "running"  # runs epoch `epoch`; its checkpoint may be coming in
    STOPPING = "stopping"  # from here to RESUMING: received, being put in place
    APPLYING = "applying"
    LOADING = "loading"
    MENDING = "mending"
    RESUMING = "resuming"
    READY = "ready"  # the primary is gone, the VM here runs and may be promoted
    LOST = "lost"


class Rule(Enum):
    """Entries that are more than a transition."""

    RECEIVE = "the checkpoint is whole: say so, and put it in place"
    DISTRUST = "the checkpoint is damaged: the VM here is good, the primary's stream is not"
    RESUMED = "the next epoch runs here"
    FINISH_ALONE = "the primary is lost after RECEIVED: finish, then be ready"
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


_REPORTS = (SvmStopped, Applied, DevicesLoaded, Mended, SvmResumed)


def _placing(report: type, entry: Entry) -> Mapping[type, Entry]:
    """A row of a state that puts a received checkpoint in place: the report it waits for, and the rest."""
    return {
        **each(OWN_BUG, *_REPORTS),
        StepFailed: Rule.LOSE,
        PrimaryLost: Rule.FINISH_ALONE,
        **each(PEER_ERROR, StateComplete, StateDamaged),  # the next one must wait for our LOADED
        report: entry,
    }


TABLE: Mapping[State, Mapping[type, Entry]] = {
    State.EMPTY: {
        StateComplete: Rule.RECEIVE,
        **each(Rule.LOSE, StateDamaged, PrimaryLost),
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.RUNNING: {
        StateComplete: Rule.RECEIVE,
        StateDamaged: Rule.DISTRUST,
        PrimaryLost: To(State.READY, (ForgetCheckpoint, ForgetCut, _ready)),
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.STOPPING: _placing(SvmStopped, To(State.APPLYING, (ApplyPages,))),
    State.APPLYING: _placing(Applied, To(State.LOADING, (LoadDevices,))),
    State.LOADING: _placing(DevicesLoaded, To(State.MENDING, (MendPages,))),
    State.MENDING: _placing(Mended, To(State.RESUMING, (_next_epoch, ResumeSvm))),
    State.RESUMING: _placing(SvmResumed, Rule.RESUMED),
    State.READY: {
        # What the relay had queued before the link was dropped.
        **each(Rule.IGNORE, StateComplete, StateDamaged, PrimaryLost),
        **each(OWN_BUG, *_REPORTS, StepFailed),
    },
    State.LOST: each(Rule.IGNORE, *_REPORTS, StepFailed, StateComplete, StateDamaged, PrimaryLost),
}


class Secondary:
    """One pairing's replica. `epoch` is what its VM runs (0: nothing yet); checkpoint `epoch` comes next."""

    def __init__(self) -> None:
        self.state = State.EMPTY
        self.epoch = 0
        self.why = "no checkpoint yet"
        self._checkpoint = 0
        self._alone = False

    def step(self, event: SecondaryEvent, _now: int) -> tuple[SecondaryAction, ...]:
        """The next actions. Raises PeerError or LocalError, and has then changed nothing.

        There is no timer here: every step has its own deadline, and the primary watches the whole.
        """
        if self._alone and isinstance(event, StateComplete | StateDamaged | PrimaryLost):
            return ()  # queued before the link was dropped
        entry = TABLE[self.state][type(event)]
        if isinstance(entry, Fault):
            blame(entry, self.state, event)
        if isinstance(entry, Rule):
            return self._apply(entry, event)
        return self._go(entry, event)

    def _go(self, to: To, event: SecondaryEvent) -> tuple[SecondaryAction, ...]:
        checkpoint = self._checkpoint
        if isinstance(event, PrimaryLost):
            checkpoint = self.epoch
            self.why = f"{event.why}; epoch {self.epoch} runs on here"
        self.state = to.state
        return tuple(make(checkpoint) for make in to.do)

    def _apply(self, rule: Rule, event: SecondaryEvent) -> tuple[SecondaryAction, ...]:
        match rule, event:
            case Rule.RECEIVE, StateComplete():
                return self._receive(event)
            case Rule.DISTRUST, _:
                return (LosePrimary(self._sentence(event)),)
            case Rule.RESUMED, _:
                return self._resumed()
            case Rule.FINISH_ALONE, _:
                self._alone = True
                self.why = f"{self._sentence(event)}; finishing checkpoint {self._checkpoint}"
            case Rule.LOSE, _:
                self.why = self._sentence(event)
                self.state = State.LOST
                return (LoseReplica(self.why),)
        return ()

    def _receive(self, event: StateComplete) -> tuple[SecondaryAction, ...]:
        if event.checkpoint != (self.epoch or event.checkpoint):
            raise PeerError(f"checkpoint {event.checkpoint} came while epoch {self.epoch} runs")
        self.state = State.STOPPING
        self._checkpoint = event.checkpoint
        self.why = f"checkpoint {event.checkpoint} received"
        return (SayReceived(event.checkpoint), StopSvm(event.checkpoint))

    def _resumed(self) -> tuple[SecondaryAction, ...]:
        self.epoch = self._checkpoint + 1
        self.why = f"epoch {self.epoch} runs"
        if self._alone:
            self.state = State.READY
            return (Deliver(self._checkpoint), ReadyToPromote())
        self.state = State.RUNNING
        return (Deliver(self._checkpoint), SayLoaded(self._checkpoint))

    def _sentence(self, event: SecondaryEvent) -> str:
        match event:
            case StepFailed(step, why):
                return f"checkpoint {self._checkpoint} failed at {step}: {why}"
            case StateDamaged(checkpoint, why):
                return f"checkpoint {checkpoint} arrived damaged: {why}"
            case PrimaryLost(why) if self.state is State.EMPTY:
                return f"{why}; the first checkpoint was not complete"
            case PrimaryLost(why):
                return why
            case _:
                return self.why
