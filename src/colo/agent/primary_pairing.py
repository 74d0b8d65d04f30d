"""The primary's half of a pairing: carries out what `model.checkpoint.primary` asks for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, assert_never

import anyio
import anyio.to_thread
import structlog
from attrs import define, field

from colo import _core
from colo.agent.memory_watch import MemoryWatch
from colo.agent.pacing import Pacing
from colo.agent.precopy import Copied, PreCopy
from colo.agent.steps import FAILURES, Steps
from colo.model import messages
from colo.model.checkpoint import actions, events
from colo.model.checkpoint.primary import Primary
from colo.model.compression import Compression, Tally
from colo.model.convergence import Convergence
from colo.model.policy.machine import Policy
from colo.model.role import events as role

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from colo._core import Encoder, PageSet, Relay, Staging
    from colo.agent.local_vm import LocalVm
    from colo.agent.measures import CheckpointMeasure, Measures
    from colo.config import Config

_log = structlog.get_logger()
_MIB = 1 << 20
_MORE_BY_THEN = 4
"""The VM may write a quarter as much again until it is stopped."""
_NS_PER_MS = 1_000_000
_NO_LOOK = frozenset({events.Reason.MEMORY, events.Reason.OUTPUT})
"""The VM writes on meanwhile, or an answer waits and the last look is not long ago."""
_AT_ONCE_MS = 1
"""The event loop may wait that long for it."""
_DRAIN_MS = 50
"""How long the running VM may take to read the frames it was sent before it is stopped. What it has not read
by then goes to the secondary once more."""


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
    peer_started: anyio.Event = field(factory=anyio.Event)
    """The secondary's QEMU is there."""
    _ended: bool = False
    _measure: CheckpointMeasure | None = None
    _staging: Staging | None = None
    _backlog: PageSet | None = None
    _precopy: PreCopy | None = None
    _encoder: Encoder | None = None
    _ram_hash: int | None = None
    _memory: MemoryWatch | None = None
    _compression: Compression = field(init=False)
    _steps: Steps = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._steps = Steps(self.tasks, self.post)
        self._compression = Compression(self.config.checkpoint.encoding)

    # --- the way to the first checkpoint ---

    def start(self) -> None:
        """Begins the pre-copy; the first checkpoint follows by itself."""
        self._steps.start("pre-copy", self._fill)

    def sent(self, checkpoint: int, tally: Tally) -> None:
        """The relay has sent a slice of the pre-copy (0), or all of a checkpoint."""
        if checkpoint == 0 and self._precopy is not None:
            self._precopy.slice_sent(tally)
        elif self._measure is not None and self._measure.checkpoint == checkpoint:
            self._measure.sent = tally

    async def _fill(self) -> events.PrimaryEvent:
        limit = self.config.checkpoint.max_staging_mib * _MIB
        # Only the first checkpoint needs it, and finding memory may take the kernel 100 ms.
        staging = asyncio.get_running_loop().run_in_executor(None, _core.Staging, self.vm.ram, limit)
        shadow = self._compression.needs_shadow
        self._encoder = await anyio.to_thread.run_sync(partial(_core.Encoder, self.vm.ram, shadow=shadow))
        self._precopy = PreCopy(
            self.vm,
            self.relay,
            self._encoder,
            self._compression,
            Convergence(limit // _core.PAGE_SIZE, self.config.timing.checkpoint_timeout_ms / 2000),
            self.tell_round,
            self.peer_started,
            self.config.checkpoint.precopy_max_mib_s,
        )
        self._backlog = await self._precopy.run()
        self._staging = await staging
        return events.Trigger(events.Reason.FIRST)

    # --- the decision loop's ---

    def feed(self, event: events.PrimaryEvent, now: int) -> None:
        """One event through the machine. Raises PeerError and LocalError of the machine."""
        if self._ended:
            return
        if self.machine is None:
            self._before_first(event, now)
        if self.machine is not None:
            done = self._watch(event)
            for action in self.machine.step(event, now):
                self._do(action)
            if done is not None and self.pacing is not None:  # only now the machine takes what it asks for
                self.pacing.finished(done, now)

    def next_timer(self) -> int | None:
        """See `Primary.next_timer`."""
        if self.machine is None or self.pacing is None or self._ended:
            return None
        timers = (self.machine.next_timer(), self.pacing.next_timer())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: int) -> None:
        """See `Primary.handle_timer`."""
        if self.machine is not None and not self._ended:
            for action in self.machine.handle_timer(now):
                self._do(action)
        if self.pacing is not None and not self._ended:
            self.pacing.handle_timer(now)

    def output_waits(self, epoch: int, now: int) -> None:
        """The relay holds what the VM said in this epoch, and was asked to tell."""
        if self.pacing is not None and not self._ended:
            self.pacing.output_waits(epoch, now)

    async def end(self) -> None:
        """No more steps, no more reports; what the VM does then is the caller's business."""
        self._finish()
        await self._steps.cancel()
        if self._memory is not None:
            await self._memory.over()

    def _finish(self) -> None:
        self._ended = True
        if self._memory is not None:
            self._memory.stop()

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

    def _make_machines(self, now: int) -> None:
        checkpoint, timing = self.config.checkpoint, self.config.timing
        policy = Policy(checkpoint.limits(), checkpoint.period_ms * _NS_PER_MS, now)
        self.pacing = Pacing(policy, self.relay, self.feed, self.on_policy)
        self.machine = Primary(
            resume=checkpoint.resume,
            pace=policy.pace(),
            pause_ns=timing.pause_timeout_ms * _NS_PER_MS,
            timeout_ns=timing.checkpoint_timeout_ms * _NS_PER_MS,
        )
        self._memory = MemoryWatch.of(self.config, self.vm, self.machine, now, self.post, self._slowed)
        self._memory.link(self._compression)
        self.tasks.start_soon(self._memory.run, name="memory watch")

    def _slowed(self, ms: float) -> None:
        if self._measure is not None:
            self._measure.slowed(ms)

    def _watch(self, event: events.PrimaryEvent) -> CheckpointMeasure | None:
        if self._measure is None:
            return None
        match event:
            case events.ReceivedByPeer():
                self._measure.mark("commit")
                self._measure.received()
                if self._measure.sent is not None:
                    self._compression.sent(self._measure.sent, self._measure.link_ns)
                    self._watched.link(self._compression)
            case events.LoadedByPeer() | events.StoredByPeer():
                self._measure.mark("loaded")
            case events.VmResumed():
                self._measure.runs = True
            case _:
                pass
        if not self._measure.runs or "loaded" not in self._measure.phases_ms:
            return None
        done, self._measure = self._measure, None
        self.measures.done(done)
        self.on_done(done)
        self._watched.through()
        return done

    def _do(self, action: actions.PrimaryAction) -> None:
        match action:
            case actions.SayPlan(n, rest):
                self.send(messages.Plan(n, rest))
            case actions.PauseIngressAndStop(n):
                self._begin(n)
            case actions.MarkCut(n):
                self._cut(n)
            case actions.SaveState():
                self._steps.start("save", self._save)
            case actions.CollectPages():
                self._steps.start("collect", self._collect)
            case actions.ResumeVm():
                self._steps.start(events.RESUME, self._resume)
            case actions.SendState(n):
                self.tasks.start_soon(self._send, n, name="send")
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

    def _cut(self, n: int) -> None:
        try:
            self.relay.cut(n)
        except FAILURES as error:  # the link may be down, and its end not be heard of yet
            self.post(events.StepFailed("cut", str(error)))

    # --- the steps ---

    @property
    def _now(self) -> CheckpointMeasure:
        assert self._measure is not None
        return self._measure

    @property
    def _watched(self) -> MemoryWatch:
        assert self._memory is not None
        return self._memory

    def _begin(self, n: int) -> None:
        """Measured from here: the step may be cancelled before it runs, and the VM is resumed then too."""
        assert self.machine is not None
        trigger = self.machine.trigger
        self._measure = self.measures.begin(n, trigger.reason.value, trigger.waited_ms)
        self._steps.start("stop", partial(self._stop, trigger.reason))

    async def _stop(self, reason: events.Reason) -> events.VmStopped:
        haste = reason is events.Reason.MEMORY  # it writes on meanwhile
        await self._watched.hold()
        if reason not in _NO_LOOK and self.vm.tracker_kind == "pagemap-scan":
            with self._now.phase("look"):
                await anyio.to_thread.run_sync(self._look_ahead)
        with self._now.phase("drain"):
            # As a rule the VM has read everything: a thread to wait in takes longer than to find that out.
            if not self.relay.pause_ingress(0 if haste else _AT_ONCE_MS) and not haste:
                await anyio.to_thread.run_sync(self.relay.pause_ingress, _DRAIN_MS)
        with self._now.phase("prepare"):
            self._now.stopped = await self.vm.hypervisor.begin_save()
        return events.VmStopped()

    def _look_ahead(self) -> None:
        """While the VM runs: brings the page tables into the CPU's caches, where the next look is three times
        as fast, and finds memory for what it will see.
        """
        assert self._staging is not None
        written = self.vm.tracker().count()
        self._staging.reserve(written + written // _MORE_BY_THEN)

    async def _save(self) -> events.StateSaved:
        self._now.mark_stopped("save", await self.vm.hypervisor.save())
        if self.config.checkpoint.verify:
            # The last look: it would see a write after the pages were collected.
            with self._now.phase("verify"):
                self._ram_hash = await anyio.to_thread.run_sync(self.vm.ram.hash)
        return events.StateSaved()

    async def _collect(self) -> events.PagesCollected:
        with self._now.phase("collect"):
            pages, size = await anyio.to_thread.run_sync(self._gather)
        self._now.pages, self._now.page_bytes = pages, size
        self._watched.limit.cut(pages, _core.boottime_ns())
        return events.PagesCollected(pages, size)

    def _gather(self) -> tuple[int, int]:
        assert self._staging is not None
        self.vm.check_holes()
        written = self.vm.tracker().collect(stopped=True)
        if self._backlog is not None:
            written = written.union(self._backlog)
            self._backlog = None
        return len(written), self._staging.gather(written)

    async def _resume(self) -> events.VmResumed:
        try:
            with self._now.phase("resume"):
                await self.vm.hypervisor.cont()
        finally:
            self.relay.resume_ingress()
            self._watched.let_go()
        self._now.mark_stopped("pause")
        return events.VmResumed()

    async def _send(self, n: int) -> None:
        """Beside the resumption: no step, for one that fails is not the VM's failure."""
        try:
            state = await self.vm.hypervisor.read_state()
            if not self._ended:
                self._hand_over(n, state)
        except FAILURES as error:
            _log.warning("a checkpoint cannot be sent", checkpoint=n, exc_info=True)
            self.post(events.PeerLost(f"checkpoint {n} cannot be sent: {error}"))

    def _hand_over(self, n: int, state: bytes) -> None:
        assert self._staging is not None
        assert self._encoder is not None
        self._now.state_bytes = len(state)
        if self._ram_hash is not None:
            self.send(messages.RamHash.of(n, self._ram_hash))
        # The relay need not wait for this loop to hear it; that comes to the same, a little later.
        self.relay.commit_when(n, messages.encode(messages.Received(n)))
        self._now.sending()
        self.relay.send_state(n, self._staging, state, self._encoder, self._compression.choose())
