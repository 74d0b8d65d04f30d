"""The secondary's side of a checkpoint.

Everything for checkpoint n is collected aside, nothing is changed, until it is whole: then the secondary
says RECEIVED and must finish, with or without the primary. Lost primary before that: forget n and run on. A
step that fails after it leaves neither the old state nor the new one: the replica is lost, the primary is
told, and nothing is promoted.

What "finish" means, the primary has said before (its plan): the VM here runs the next epoch, or it rests and
the checkpoint only goes into the cache. A VM that rests is loaded when the primary is lost, or when a plan
says so.
"""

from __future__ import annotations

from colo.model.checkpoint.actions import (
    Deliver,
    ForgetCheckpoint,
    LosePrimary,
    LoseReplica,
    PassCut,
    ReadyToPromote,
    RestorePages,
    SayLoaded,
    SayReceived,
    SayStored,
    SecondaryAction,
    StopSvm,
    StorePages,
)
from colo.model.checkpoint.events import (
    Planned,
    PrimaryLost,
    SecondaryEvent,
    StateComplete,
    StateDamaged,
    StepFailed,
)
from colo.model.checkpoint.secondary_table import FROM_PRIMARY, TABLE, Rule, State, To
from colo.model.errors import PeerError
from colo.model.table import Fault, blame


class Secondary:
    """One pairing's replica. `epoch` is what its VM runs, or would run if it did not rest (0: nothing yet);
    checkpoint `epoch` comes next. `stopped`: the VM does not run, and its RAM may be written.
    """

    def __init__(self) -> None:
        self.state = State.EMPTY
        self.epoch = 0
        self.why = "no checkpoint yet"
        self._plan: Planned | None = None
        self._checkpoint = 0
        self.stopped = False
        self._alone = False

    @property
    def rests(self) -> bool:
        """The VM rests, by the last plan."""
        return self._plan is not None and self._plan.rest

    def step(self, event: SecondaryEvent, _now: int) -> tuple[SecondaryAction, ...]:
        """The next actions. Raises PeerError or LocalError, and has then changed nothing.

        There is no timer here: every step has its own deadline, and the primary watches the whole.
        """
        if self._alone and isinstance(event, (*FROM_PRIMARY, PrimaryLost)):
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
        done: tuple[SecondaryAction, ...] = ()
        match rule, event:
            case Rule.PLAN, Planned():
                self._check_next(event.checkpoint)
                self._plan = event
            case Rule.RECEIVE, StateComplete():
                done = self._receive(event)
            case Rule.STORED, _:
                done = (PassCut(self._checkpoint), *self._stored())
            case Rule.STOPPED, _:
                self.stopped = True
                done = self._stored()
            case Rule.RESUMED, _:
                done = self._resumed()
            case Rule.DISTRUST, _:
                done = (LosePrimary(self._sentence(event)),)
            case Rule.WAKE, _:
                done = self._wake(event)
            case Rule.FINISH_ALONE, _:
                self._alone = True
                self.why = f"{self._sentence(event)}; finishing checkpoint {self._checkpoint}"
            case Rule.LOSE, _:
                self.why, self.state = self._sentence(event), State.LOST
                done = (LoseReplica(self.why),)
        return done

    def _check_next(self, checkpoint: int) -> None:
        if checkpoint != (self.epoch or checkpoint):
            raise PeerError(f"checkpoint {checkpoint} came, {self.epoch} is the next")

    def _receive(self, event: StateComplete) -> tuple[SecondaryAction, ...]:
        self._check_next(event.checkpoint)
        if self._plan is None or self._plan.checkpoint != event.checkpoint:
            raise PeerError(f"checkpoint {event.checkpoint} came without a plan")
        self.state = State.STORING
        self._checkpoint = event.checkpoint
        self.why = f"checkpoint {event.checkpoint} received"
        return (SayReceived(event.checkpoint), StorePages(event.checkpoint))

    def _stored(self) -> tuple[SecondaryAction, ...]:
        if not self.stopped:
            self.state = State.STOPPING
            return (StopSvm(self._checkpoint),)
        if self._alone or not self.rests:
            self.state = State.RESTORING
            return (RestorePages(self._checkpoint),)
        self.state = State.RESTING
        self.epoch = self._checkpoint + 1
        self.why = f"checkpoint {self._checkpoint} is stored, the VM rests"
        return (SayStored(self._checkpoint),)

    def _resumed(self) -> tuple[SecondaryAction, ...]:
        self.stopped = False
        self.epoch = self._checkpoint + 1
        self.why = f"epoch {self.epoch} runs"
        if self._alone:
            self.state = State.READY
            return (Deliver(self._checkpoint), ReadyToPromote())
        self.state = State.RUNNING
        return (Deliver(self._checkpoint), SayLoaded(self._checkpoint))

    def _wake(self, event: SecondaryEvent) -> tuple[SecondaryAction, ...]:
        self._alone = True
        self.state = State.RESTORING
        self.why = f"{self._sentence(event)}; loading checkpoint {self._checkpoint}"
        return (ForgetCheckpoint(self.epoch), RestorePages(self._checkpoint))

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
