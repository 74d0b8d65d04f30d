"""The primary's side of a checkpoint.

Two promises: the VM is never left stopped, and at most one checkpoint is in flight. What fails or takes too
long ends the pairing; if the VM is stopped by then, it is resumed *before* the secondary is given up,
because a VM that cannot be resumed is better served by the secondary.

Two deadlines keep them: the VM may stand still for `pause`, and the whole exchange take `timeout`. The policy
(`model.policy`) says by `Pace` how it goes on: how long until the next checkpoint at most, and whether the
secondary's VM runs in between (lock-step) or rests (epochs).
"""

from __future__ import annotations

from colo.model.checkpoint.actions import (
    DeclareSecondaryLost,
    DeclareVmLost,
    PauseIngressAndStop,
    PrimaryAction,
    ResumeVm,
    SayPlan,
)
from colo.model.checkpoint.events import (
    RESUME,
    Deadline,
    LoadedByPeer,
    Pace,
    PeerLost,
    PrimaryEvent,
    Reason,
    ReceivedByPeer,
    StepFailed,
    StoredByPeer,
    Trigger,
)
from colo.model.checkpoint.primary_table import STANDS_STILL, TABLES, Resume, Rule, State, To
from colo.model.errors import PeerError
from colo.model.table import Fault, blame

_NOT_REPEATED = frozenset({Reason.PERIOD, Reason.OUTPUT})
"""One that is in flight is as good."""
_IN_FLIGHT = frozenset({State.SENDING, State.LOADING})


class Primary:
    """One pairing's checkpoints. Made when the pre-copy is done; the first Trigger makes the first
    checkpoint, after which the secondary's VM runs whatever the pace says: what cannot be loaded is found
    before it is counted on.

    `checkpoint` is the number in flight, or the next one. `rests`: after the last one begun the secondary's
    VM rests. `why` says the last decision in words, `trigger` what the last checkpoint was begun for.
    """

    def __init__(self, *, resume: Resume, pace: Pace, pause_ns: int, timeout_ns: int, epoch: int = 1) -> None:
        self.state = State.RUNNING
        self.checkpoint = epoch
        self.rests = False
        self.why = "no checkpoint yet"
        self.trigger = Trigger(Reason.FIRST)
        self._table = TABLES[resume]
        self._stands_still = STANDS_STILL[resume]
        self._pace = pace
        self._pause = pause_ns
        self._timeout = timeout_ns
        self._first = epoch
        self._began = 0
        self._ended = 0
        self._again: Trigger | None = None
        self._timer: int | None = None

    def next_timer(self) -> int | None:
        """When `handle_timer` is due: the period, or a deadline of the checkpoint in flight."""
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
        if isinstance(event, ReceivedByPeer | LoadedByPeer | StoredByPeer):
            self._check_answer(event)
        return self._go(entry, now)

    def _check_answer(self, event: ReceivedByPeer | LoadedByPeer | StoredByPeer) -> None:
        if event.checkpoint != self.checkpoint:
            raise PeerError(f"the peer answers checkpoint {event.checkpoint}, in flight is {self.checkpoint}")
        if not isinstance(event, ReceivedByPeer) and isinstance(event, StoredByPeer) is not self.rests:
            raise PeerError(f"the peer's VM {'runs' if self.rests else 'rests'}, against the plan")

    def _go(self, to: To, now: int) -> tuple[PrimaryAction, ...]:
        self.state = to.state
        actions = tuple(make(self.checkpoint) for make in to.do)
        if to.state is State.RUNNING:
            return actions + self._finish(now)
        self._timer = self._deadline()
        return actions

    def _deadline(self) -> int:
        return self._began + (self._pause if self.state in self._stands_still else self._timeout)

    def _apply(self, rule: Rule, event: PrimaryEvent, now: int) -> tuple[PrimaryAction, ...]:
        match rule, event:
            case Rule.START, Trigger():
                return self._start(event, now)
            case Rule.COALESCE, Trigger():
                self._coalesce(event)
            case Rule.PACE, Pace():
                self._pace = event
            case Rule.REPACE, Pace():
                self._pace = event
                return self._go_on(now)
            case Rule.ABORT | Rule.AWAIT_RESUME, _:
                self._abort(event, now)
                return (ResumeVm(self.checkpoint),) if rule is Rule.ABORT else ()
            case Rule.GIVE_UP, _:
                return self._end(DeclareSecondaryLost(self._sentence(event)))
            case Rule.IF_RESUME, StepFailed() if event.step != RESUME:
                pass  # one that was cut short
            case Rule.IF_RESUME | Rule.VM_LOST, _:
                return self._end(DeclareVmLost(self._sentence(event)))
        return ()

    def _start(self, trigger: Trigger, now: int) -> tuple[PrimaryAction, ...]:
        self.state = State.STOPPING
        self.trigger = trigger
        self.why = f"checkpoint {self.checkpoint}: {trigger.reason.value}"
        if trigger.detail:
            self.why += f" ({trigger.detail})"
        self.rests = self._pace.rest and self.checkpoint != self._first
        self._began = now
        self._timer = self._deadline()
        return (SayPlan(self.checkpoint, self.rests), PauseIngressAndStop(self.checkpoint))

    @property
    def behind(self) -> bool:
        """A checkpoint is in flight, and the VM runs: what it writes is the next one's."""
        return self.state in _IN_FLIGHT and self.state not in self._stands_still

    @property
    def may_prepare(self) -> bool:
        """The VM runs, and the next checkpoint may be prepared."""
        return self.state is State.RUNNING or self.behind

    def _coalesce(self, trigger: Trigger) -> None:
        settled = trigger.epoch is not None and trigger.epoch <= self.checkpoint
        if trigger.reason is Reason.MEMORY:  # counted before this one's cut, and nothing is written since
            settled = self.state in self._stands_still
        if not settled and trigger.reason not in _NOT_REPEATED:
            self._again = self._again or trigger

    def _finish(self, now: int) -> tuple[PrimaryAction, ...]:
        self.checkpoint += 1
        self._ended = now
        again, self._again = self._again, None
        return self._start(again, now) if again else self._go_on(now)

    def _go_on(self, now: int) -> tuple[PrimaryAction, ...]:
        """Between checkpoints, as the pace says."""
        begun = self.checkpoint != self._first
        if begun and self._pace.rest is not self.rests:
            mode = "the secondary's VM rests" if self._pace.rest else "the secondary's VM runs"
            return self._start(Trigger(Reason.MODE, mode), now)
        self._timer = self._ended + self._pace.period_ns if begun and self._pace.period_ns else None
        return ()

    def _abort(self, event: PrimaryEvent, now: int) -> None:
        self.why = self._sentence(event)
        self.state = State.ABORTING
        self._timer = now + self._pause

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
