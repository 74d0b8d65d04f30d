"""The primary's half of a pairing: carries out what `model.checkpoint.primary` asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

import anyio
import structlog
from attrs import define, field

from colo.agent.memory_watch import MemoryWatch
from colo.agent.pacing import Pacing
from colo.agent.primary_work import PrimaryWork
from colo.agent.steps import FAILURES, Steps
from colo.model import messages
from colo.model.checkpoint import actions, events
from colo.model.checkpoint.primary import Primary
from colo.model.policy.machine import Policy
from colo.model.role import events as role
from colo.model.timers import soonest

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from colo._core import Relay
    from colo.agent.local_vm import LocalVm
    from colo.agent.measures import CheckpointMeasure, Measures
    from colo.agent.precopy import Copied
    from colo.config import Config

_log = structlog.get_logger()
_NS_PER_MS = 1_000_000


@define(eq=False)
class PrimaryPairing:
    """`feed` is called by the decision loop only; `post` puts an event of this pairing into that loop."""

    config: Config
    relay: Relay
    vm: LocalVm
    measures: Measures
    tasks: TaskGroup
    post: Callable[[events.PrimaryEvent], None]
    tell_role: Callable[[role.Event], None]
    send: Callable[[messages.Message], None]
    tell_round: Callable[[Copied], None]
    machine: Primary | None = None
    pacing: Pacing | None = None
    on_done: Callable[[CheckpointMeasure], None] = field(default=lambda _: None)
    on_policy: Callable[[Policy], None] = field(default=lambda _: None)
    work: PrimaryWork = field(init=False)
    _ended: bool = False
    _has_room: bool = False
    """The buffer of the checkpoints has been given memory, or is being given some."""
    _room_scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    _prepares: bool = False
    """QEMU was asked to be ready for a checkpoint."""
    _resuming: bool = False
    """QEMU has not been told yet that the VM goes on."""
    _unsent: int | None = None
    """The checkpoint that is sent after that."""
    _steps: Steps = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._steps = Steps(self.tasks, self.post)
        self.work = PrimaryWork(self.config, self.relay, self.vm, self.send, self.tell_round)

    # --- the way to the first checkpoint ---

    def start(self) -> None:
        """Begins the pre-copy; the first checkpoint follows by itself."""
        self._steps.start("pre-copy", self.work.fill)

    # --- the decision loop's ---

    def feed(self, event: events.PrimaryEvent, now: int) -> None:
        """One event through the machine. Raises PeerError and LocalError of the machine."""
        if self._ended:
            return
        if self.machine is None:
            self._before_first(event, now)
        if self.machine is not None:
            done = self.work.heard(event)
            if done is not None:
                self.measures.done(done)
                self.on_done(done)
                self._make_room()
            for action in self.machine.step(event, now):
                self._do(action)
            if done is not None and self.pacing is not None:  # only now the machine takes what it asks for
                self.pacing.finished(done, now)

    def next_timer(self) -> int | None:
        """See `Primary.next_timer`."""
        if self.machine is None or self.pacing is None or self._ended:
            return None
        return soonest(self.machine.next_timer(), self.pacing.next_timer())

    def handle_timer(self, now: int) -> None:
        """See `Primary.handle_timer`."""
        if self.machine is not None and not self._ended:
            for action in self.machine.handle_timer(now):
                self._do(action)
        if self.pacing is not None and not self._ended:
            self.pacing.handle_timer(now)

    def output_waits(self, epoch: int, now: int, *, only_acks: bool) -> None:
        """The relay holds what the VM said in this epoch, and was asked to tell."""
        if self.pacing is not None and not self._ended:
            self.pacing.output_waits(epoch, now, only_acks=only_acks)

    def _expect(self) -> None:
        """A checkpoint may come soon."""
        assert self.machine is not None
        if not self._ended and self.machine.may_prepare:
            self._prepares = True
            self.tasks.start_soon(self.work.get_ready, name="get ready")

    async def end(self) -> None:
        """No more steps, no more reports; what the VM does then is the caller's business."""
        self._finish()
        await self._steps.cancel()
        if self.work.memory is not None:
            await self.work.memory.over()

    def _finish(self) -> None:
        self._ended = True
        self._room_scope.cancel()
        if self.work.memory is not None:
            self.work.memory.stop()
        if self._prepares:
            self._prepares = False
            self.tasks.start_soon(self.work.stand_down, name="stand down")

    def _before_first(self, event: events.PrimaryEvent, now: int) -> None:
        match event:
            case events.Trigger(events.Reason.FIRST):
                self._make_machines(now)
            case events.StepFailed(step, why):
                self.tell_role(role.PeerLost(f"{step} failed: {why}"))
            case events.PeerLost():
                self._ended = True
                self.tasks.start_soon(self._steps.cancel)
            case _:
                pass  # a frame of nobody's: the comparison has not begun

    def _make_room(self) -> None:
        if not self._has_room:
            self._has_room = True
            self.tasks.start_soon(self._room, name="room for checkpoints")

    async def _room(self) -> None:
        with self._room_scope:
            await self.work.make_room()

    def _make_machines(self, now: int) -> None:
        checkpoint, timing = self.config.checkpoint, self.config.timing
        policy = Policy(checkpoint.limits(), checkpoint.period_ms * _NS_PER_MS, now)
        self.pacing = Pacing(policy, self.relay, self.feed, self._expect, self.on_policy)
        self.machine = Primary(
            resume=checkpoint.resume,
            pace=policy.pace(),
            pause_ns=timing.pause_timeout_ms * _NS_PER_MS,
            timeout_ns=timing.checkpoint_timeout_ms * _NS_PER_MS,
        )
        memory = MemoryWatch.of(self.config, self.vm, self.machine, now, self.post, self.work.slowed)
        memory.link(self.work.compression)
        self.work.memory = memory
        self.tasks.start_soon(memory.run, name="memory watch")

    def _do(self, action: actions.PrimaryAction) -> None:
        match action:
            case actions.SayPlan(n, rest):
                self.send(messages.Plan(n, rest))
            case actions.PauseIngressAndStop(n):
                self._begin(n)
            case actions.MarkCut(n):
                self._cut(n)
            case actions.GoOnWhenSaved():
                self.work.go_on_when_saved()
            case actions.SaveState():
                self._steps.start("save", self.work.save)
            case actions.CollectPages():
                self._steps.start("collect", partial(self.work.collect, self.work.begin_to_collect()))
            case actions.ResumeVm():
                self._resume()
            case actions.SendState(n):
                self._unsent = n
                if not self._resuming:
                    self._begin_to_send()
            case actions.Commit(n):
                self.relay.commit(n)
                self.tell_role(role.Committed(n))
            case actions.NoteLoaded(n):
                self.relay.loaded(n)
            case actions.NoteStored():
                pass  # the SVM rests: the comparison goes on to expect nothing of it
            case actions.DeclareSecondaryLost(why):
                self._finish()
                self.tell_role(role.PeerLost(why))
            case actions.DeclareVmLost(why):
                self._finish()
                self.tell_role(role.VmDied(why))
            case _:
                assert_never(action)

    def _resume(self) -> None:
        assert self.machine is not None
        haste = self.machine.trigger.reason.is_waited_for
        self._resuming = True
        self._steps.start(events.RESUME, partial(self.work.resume, self._goes_on, haste=haste))

    def _cut(self, n: int) -> None:
        try:
            self.relay.cut(n)
        except FAILURES as error:  # the link may be down, and its end not be heard of yet
            self.post(events.StepFailed("cut", str(error)))

    def _begin(self, n: int) -> None:
        """Measured from here: the step may be cancelled before it runs, and the VM is resumed then too."""
        assert self.machine is not None
        trigger = self.machine.trigger
        self.work.measure = self.measures.begin(n, trigger.reason.value, trigger.waited_ms)
        self._steps.start("stop", partial(self.work.stop, trigger.reason))

    def _goes_on(self) -> None:
        """The VM runs, or will in a moment: what sending takes of the processors keeps that up no more."""
        self._resuming = False
        self._begin_to_send()

    def _begin_to_send(self) -> None:
        n, self._unsent = self._unsent, None
        if n is not None:
            self.tasks.start_soon(self._send, n, name="send")

    async def _send(self, n: int) -> None:
        """Beside the resumption: no step, for one that fails is not the VM's failure."""
        try:
            state = await self.vm.hypervisor.read_state()
            if not self._ended:
                self.work.hand_over(n, state)
        except FAILURES as error:
            _log.warning("a checkpoint cannot be sent", checkpoint=n, exc_info=True)
            self.post(events.PeerLost(f"checkpoint {n} cannot be sent: {error}"))
