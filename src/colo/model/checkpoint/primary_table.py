"""The primary's side of a checkpoint, as a table: what each event means in each state, for both orders."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from colo.model.checkpoint.actions import (
    CollectPages,
    Commit,
    GoOnWhenSaved,
    MarkCut,
    NoteLoaded,
    NoteStored,
    PrimaryAction,
    ResumeVm,
    SaveState,
    SendState,
)
from colo.model.checkpoint.events import (
    Deadline,
    LoadedByPeer,
    Pace,
    PagesCollected,
    PeerLost,
    ReceivedByPeer,
    StateSaved,
    StepFailed,
    StoredByPeer,
    Trigger,
    VmResumed,
    VmStopped,
)
from colo.model.table import OWN_BUG, PEER_ERROR, Fault, each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Resume = Literal["early", "together"]
"""When the VM runs again: once its state is staged, or once the secondary's VM runs too."""


class State(Enum):
    """Where the checkpoint is."""

    RUNNING = "running"  # none in flight
    STOPPING = "stopping"
    COLLECTING = "collecting"
    SAVING = "saving"  # QEMU began with the stop; waits for its end
    RESUMING = "resuming"  # early: it is sent meanwhile, and RECEIVED may come first
    COMMITTED = "committed"  # early: RECEIVED, and still being resumed
    SENDING = "sending"  # waits for RECEIVED
    LOADING = "loading"  # waits for LOADED, or STORED
    PLACED = "placed"  # LOADED or STORED; being resumed
    ABORTING = "aborting"  # it failed: the VM is being resumed
    ENDED = "ended"  # this pairing is over; the machine is of no more use


class Rule(Enum):
    """Entries that are more than a transition."""

    START = "start a checkpoint"
    PACE = "so it goes on after this checkpoint"
    REPACE = "so it goes on from here; a change of mode begins with a checkpoint"
    ANSWERED = "the cut is still to come: this checkpoint answers the trigger"
    COALESCE = "one more checkpoint afterwards, if this one does not answer it"
    ABORT = "the VM is stopped: resume it, then give the secondary up"
    AWAIT_RESUME = "the VM is being resumed already: give the secondary up when it runs"
    GIVE_UP = "the VM runs: give the secondary up"
    VM_LOST = "the VM cannot be resumed: let the secondary take over"
    IF_RESUME = "if it is the resumption: let the secondary take over"
    IGNORE = "nothing"


@frozen
class To:
    """A transition; each action is made for the checkpoint in flight."""

    state: State
    do: tuple[Callable[[int], PrimaryAction], ...] = ()


Entry = To | Rule | Fault

_BEING_RESUMED = (State.RESUMING, State.COMMITTED, State.PLACED)
_FROM_PEER = (ReceivedByPeer, LoadedByPeer, StoredByPeer)
_TROUBLE = (StepFailed, PeerLost, Deadline)
_REPORTS = (VmStopped, StateSaved, PagesCollected, VmResumed)

_RESUMING: Mapping[type, Entry] = {
    Pace: Rule.PACE,
    Trigger: Rule.COALESCE,
    StepFailed: Rule.VM_LOST,
    **each(Rule.AWAIT_RESUME, PeerLost, Deadline),
    **each(PEER_ERROR, *_FROM_PEER),
    **each(OWN_BUG, VmStopped, StateSaved, PagesCollected),
}

_COMMON: Mapping[State, Mapping[type, Entry]] = {
    State.RUNNING: {
        Trigger: Rule.START,
        Pace: Rule.REPACE,
        PeerLost: Rule.GIVE_UP,
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, *_REPORTS, StepFailed, Deadline),
    },
    State.STOPPING: {
        Pace: Rule.PACE,
        VmStopped: To(State.COLLECTING, (CollectPages, MarkCut)),  # it goes on during the cut
        Trigger: Rule.ANSWERED,
        **each(Rule.ABORT, *_TROUBLE),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, StateSaved, PagesCollected, VmResumed),
    },
    State.COLLECTING: {
        Pace: Rule.PACE,
        Trigger: Rule.COALESCE,
        **each(Rule.ABORT, *_TROUBLE),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, VmStopped, StateSaved, VmResumed),
    },
    State.SAVING: {
        Pace: Rule.PACE,
        Trigger: Rule.COALESCE,
        **each(Rule.ABORT, *_TROUBLE),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, VmStopped, PagesCollected, VmResumed),
    },
    State.RESUMING: {
        **_RESUMING,
        VmResumed: To(State.SENDING),
        ReceivedByPeer: To(State.COMMITTED, (Commit,)),
    },
    State.COMMITTED: {
        **_RESUMING,
        VmResumed: To(State.LOADING),
        LoadedByPeer: To(State.PLACED, (NoteLoaded,)),
        StoredByPeer: To(State.PLACED, (NoteStored,)),
    },
    State.PLACED: {**_RESUMING, VmResumed: To(State.RUNNING)},
    State.SENDING: {
        Pace: Rule.PACE,
        ReceivedByPeer: To(State.LOADING, (Commit,)),
        **each(PEER_ERROR, LoadedByPeer, StoredByPeer),
        Trigger: Rule.COALESCE,
        **each(OWN_BUG, *_REPORTS),
    },
    State.LOADING: {
        Pace: Rule.PACE,
        ReceivedByPeer: PEER_ERROR,
        Trigger: Rule.COALESCE,
        **each(OWN_BUG, *_REPORTS),
    },
    State.ABORTING: {
        Pace: Rule.PACE,
        VmResumed: Rule.GIVE_UP,
        StepFailed: Rule.IF_RESUME,
        Deadline: Rule.VM_LOST,
        # The step that was cut short may still report, and the peer does not know yet.
        **each(Rule.IGNORE, VmStopped, StateSaved, PagesCollected, Trigger, PeerLost, *_FROM_PEER),
    },
    State.ENDED: each(Rule.IGNORE, Trigger, Pace, *_REPORTS, *_FROM_PEER, *_TROUBLE),
}

_BY_MODE: Mapping[Resume, Mapping[State, Mapping[type, Entry]]] = {
    "early": {
        State.COLLECTING: {PagesCollected: To(State.SAVING, (GoOnWhenSaved, SaveState))},
        State.SAVING: {StateSaved: To(State.RESUMING, (ResumeVm, SendState))},
        State.SENDING: each(Rule.GIVE_UP, *_TROUBLE),
        State.LOADING: {
            LoadedByPeer: To(State.RUNNING, (NoteLoaded,)),
            StoredByPeer: To(State.RUNNING, (NoteStored,)),
            **each(Rule.GIVE_UP, *_TROUBLE),
        },
    },
    "together": {
        State.COLLECTING: {PagesCollected: To(State.SAVING, (SaveState,))},
        State.SAVING: {StateSaved: To(State.SENDING, (SendState,))},
        State.SENDING: each(Rule.ABORT, *_TROUBLE),
        State.LOADING: {
            LoadedByPeer: To(State.PLACED, (NoteLoaded, ResumeVm)),
            StoredByPeer: To(State.PLACED, (NoteStored, ResumeVm)),
            **each(Rule.ABORT, *_TROUBLE),
        },
    },
}

TABLES: Mapping[Resume, Mapping[State, Mapping[type, Entry]]] = {
    mode: {state: {**row, **special.get(state, {})} for state, row in _COMMON.items()}
    for mode, special in _BY_MODE.items()
}

STANDS_STILL: Mapping[Resume, frozenset[State]] = {
    "early": frozenset({State.STOPPING, State.COLLECTING, State.SAVING, *_BEING_RESUMED}),
    "together": frozenset(State) - {State.RUNNING, State.ABORTING, State.ENDED},
}
"""Where the VM may be stopped, and the deadline is that of the pause."""
