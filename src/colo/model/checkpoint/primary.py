"""The primary's side of a checkpoint.

Two promises: the VM is never left stopped, and at most one checkpoint is in flight. What fails or takes too
long ends the pairing; if the VM is stopped by then, it is resumed *before* the secondary is given up,
because a VM that cannot be resumed is better served by the secondary.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from colo.model.checkpoint.actions import (
    CollectPages,
    Commit,
    DeclareSecondaryLost,
    DeclareVmLost,
    MarkCut,
    NoteLoaded,
    PauseIngressAndStop,
    PrimaryAction,
    ResumeVm,
    SaveState,
    SendState,
)
from colo.model.checkpoint.events import (
    Deadline,
    LoadedByPeer,
    PagesCollected,
    PeerLost,
    PrimaryEvent,
    Reason,
    ReceivedByPeer,
    StateSaved,
    StepFailed,
    Trigger,
    VmResumed,
    VmStopped,
)
from colo.model.errors import PeerError
from colo.model.table import OWN_BUG, PEER_ERROR, Fault, blame, each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Resume = Literal["early", "together"]
"""When the VM runs again: once its state is staged, or once the secondary's VM runs too."""


class State(Enum):
    """Where the checkpoint is."""

    RUNNING = "running"  # none in flight
    STOPPING = "stopping"
    SAVING = "saving"
    COLLECTING = "collecting"
    RESUMING = "resuming"
    SENDING = "sending"  # waits for RECEIVED
    LOADING = "loading"  # waits for LOADED
    ABORTING = "aborting"  # it failed: the VM is being resumed
    ENDED = "ended"  # this pairing is over; the machine is of no more use


class Rule(Enum):
    """Entries that are more than a transition."""

    START = "start a checkpoint"
    ANSWERED = "the cut is still to come: this checkpoint answers the trigger"
    COALESCE = "one more checkpoint afterwards, if this one does not answer it"
    ABORT = "the VM is stopped: resume it, then give the secondary up"
    AWAIT_RESUME = "the VM is being resumed already: give the secondary up when it runs"
    GIVE_UP = "the VM runs: give the secondary up"
    VM_LOST = "the VM cannot be resumed: let the secondary take over"
    IGNORE = "nothing"


@frozen
class To:
    """A transition; each action is made for the checkpoint in flight."""

    state: State
    do: tuple[Callable[[int], PrimaryAction], ...] = ()


Entry = To | Rule | Fault

_FROM_PEER = (ReceivedByPeer, LoadedByPeer)
_TROUBLE = (StepFailed, PeerLost, Deadline)
_REPORTS = (VmStopped, StateSaved, PagesCollected, VmResumed)

_COMMON: Mapping[State, Mapping[type, Entry]] = {
    State.RUNNING: {
        Trigger: Rule.START,
        PeerLost: Rule.GIVE_UP,
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, *_REPORTS, StepFailed, Deadline),
    },
    State.STOPPING: {
        VmStopped: To(State.SAVING, (MarkCut, SaveState)),
        Trigger: Rule.ANSWERED,
        **each(Rule.ABORT, *_TROUBLE),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, StateSaved, PagesCollected, VmResumed),
    },
    State.SAVING: {
        StateSaved: To(State.COLLECTING, (CollectPages,)),
        Trigger: Rule.COALESCE,
        **each(Rule.ABORT, *_TROUBLE),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, VmStopped, PagesCollected, VmResumed),
    },
    State.COLLECTING: {
        Trigger: Rule.COALESCE,
        **each(Rule.ABORT, *_TROUBLE),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, VmStopped, StateSaved, VmResumed),
    },
    State.RESUMING: {
        Trigger: Rule.COALESCE,
        StepFailed: Rule.VM_LOST,
        **each(Rule.AWAIT_RESUME, PeerLost, Deadline),
        **each(PEER_ERROR, *_FROM_PEER),
        **each(OWN_BUG, VmStopped, StateSaved, PagesCollected),
    },
    State.SENDING: {
        ReceivedByPeer: To(State.LOADING, (Commit,)),
        LoadedByPeer: PEER_ERROR,
        Trigger: Rule.COALESCE,
        **each(OWN_BUG, *_REPORTS),
    },
    State.LOADING: {
        ReceivedByPeer: PEER_ERROR,
        Trigger: Rule.COALESCE,
        **each(OWN_BUG, *_REPORTS),
    },
    State.ABORTING: {
        VmResumed: Rule.GIVE_UP,
        **each(Rule.VM_LOST, StepFailed, Deadline),
        # The step that was cut short may still report, and the peer does not know yet.
        **each(Rule.IGNORE, VmStopped, StateSaved, PagesCollected, Trigger, PeerLost, *_FROM_PEER),
    },
    State.ENDED: each(Rule.IGNORE, Trigger, *_REPORTS, *_FROM_PEER, *_TROUBLE),
}

_BY_MODE: Mapping[Resume, Mapping[State, Mapping[type, Entry]]] = {
    "early": {
        State.COLLECTING: {PagesCollected: To(State.RESUMING, (ResumeVm,))},
        State.RESUMING: {VmResumed: To(State.SENDING, (SendState,))},
        State.SENDING: each(Rule.GIVE_UP, *_TROUBLE),
        State.LOADING: {LoadedByPeer: To(State.RUNNING, (NoteLoaded,)), **each(Rule.GIVE_UP, *_TROUBLE)},
    },
    "together": {
        State.COLLECTING: {PagesCollected: To(State.SENDING, (SendState,))},
        State.SENDING: each(Rule.ABORT, *_TROUBLE),
        State.LOADING: {
            LoadedByPeer: To(State.RESUMING, (NoteLoaded, ResumeVm)),
            **each(Rule.ABORT, *_TROUBLE),
        },
        State.RESUMING: {VmResumed: To(State.RUNNING)},
    },
}

TABLES: Mapping[Resume, Mapping[State, Mapping[type, Entry]]] = {
    mode: {state: {**row, **special.get(state, {})} for state, row in _COMMON.items()}
    for mode, special in _BY_MODE.items()
}

_ANSWERED_UNTIL_RECEIVED = frozenset({Reason.MISMATCH, Reason.HOLD_LIMIT})
"""Until it has received n the secondary runs epoch n at most: what it disagrees about then, n settles."""


class Primary:
    """One pairing's checkpoints. Made when the pre-copy is done; the first Trigger makes the first
    checkpoint.

    `checkpoint` is the number in flight, or the next one. `why` says the last decision in words, `reason`
    why the last checkpoint was begun.
    """

    def __init__(self, *, resume: Resume, period_ns: int, timeout_ns: int, epoch: int = 1) -> None:
        self.state = State.RUNNING
        self.checkpoint = epoch
        self.why = "no checkpoint yet"
        self.reason = Reason.FIRST
        self._table = TABLES[resume]
        self._period = period_ns
        self._timeout = timeout_ns
        self._again: Trigger | None = None
        self._timer: int | None = None

    def next_timer(self) -> int | None:
        """When `handle_timer` is due: the period, or the deadline of the checkpoint in flight."""
        return self._timer

    def handle_timer(self, now: int) -> tuple[PrimaryAction, ...]:
        """To be called at `next_timer()` or later; does nothing when called early."""
        if self._timer is None or now < self._timer:
            return ()
        return self.step(Trigger(Reason.PERIOD) if self.state is State.RUNNING else Deadline(), now)

    def step(self, event: PrimaryEvent, now: int) -> tuple[PrimaryAction, ...]:
        """The next actions. Raises PeerError or LocalError, and has then changed nothing."""
        entry = self._table[self.state][type(event)]
        if isinstance(entry, Fault):
            blame(entry, self.state, event)
        if isinstance(entry, Rule):
            return self._apply(entry, event, now)
        if isinstance(event, ReceivedByPeer | LoadedByPeer) and event.checkpoint != self.checkpoint:
            raise PeerError(f"the peer answers checkpoint {event.checkpoint}, in flight is {self.checkpoint}")
        return self._go(entry, now)

    def _go(self, to: To, now: int) -> tuple[PrimaryAction, ...]:
        self.state = to.state
        actions = tuple(make(self.checkpoint) for make in to.do)
        return actions + self._finish(now) if to.state is State.RUNNING else actions

    def _apply(self, rule: Rule, event: PrimaryEvent, now: int) -> tuple[PrimaryAction, ...]:
        match rule, event:
            case Rule.START, Trigger():
                return self._start(event, now)
            case Rule.COALESCE, Trigger():
                self._coalesce(event)
            case Rule.ABORT, _:
                return self._abort(event, now, (ResumeVm(self.checkpoint),))
            case Rule.AWAIT_RESUME, _:
                return self._abort(event, now, ())
            case Rule.GIVE_UP, _:
                return self._end(DeclareSecondaryLost(self._sentence(event)))
            case Rule.VM_LOST, _:
                return self._end(DeclareVmLost(self._sentence(event)))
        return ()

    def _start(self, trigger: Trigger, now: int) -> tuple[PrimaryAction, ...]:
        self.state = State.STOPPING
        self.reason = trigger.reason
        self.why = f"checkpoint {self.checkpoint}: {trigger.reason.value}"
        if trigger.detail:
            self.why += f" ({trigger.detail})"
        self._timer = now + self._timeout
        return (PauseIngressAndStop(self.checkpoint),)

    def _coalesce(self, trigger: Trigger) -> None:
        settled = self.state is not State.LOADING and trigger.reason in _ANSWERED_UNTIL_RECEIVED
        if not settled and trigger.reason is not Reason.PERIOD:
            self._again = self._again or trigger

    def _finish(self, now: int) -> tuple[PrimaryAction, ...]:
        self.checkpoint += 1
        again, self._again = self._again, None
        self._timer = now + self._period if self._period else None
        return self._start(again, now) if again else ()

    def _abort(
        self, event: PrimaryEvent, now: int, do: tuple[PrimaryAction, ...]
    ) -> tuple[PrimaryAction, ...]:
        self.why = self._sentence(event)
        self.state = State.ABORTING
        self._timer = now + self._timeout
        return do

    def _end(self, action: DeclareSecondaryLost | DeclareVmLost) -> tuple[PrimaryAction, ...]:
        self.state = State.ENDED
        self.why = action.why
        self._timer = None
        return (action,)

    def _sentence(self, event: PrimaryEvent) -> str:
        match event:
            case StepFailed(step, why):
                return f"checkpoint {self.checkpoint} failed at {step}: {why}"
            case PeerLost(why):
                return why
            case Deadline():
                return f"checkpoint {self.checkpoint} was still {self.state.value} at its deadline"
            case _:
                return self.why
