"""The secondary's half of a pairing: carries out what `model.checkpoint.secondary` asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, assert_never

import anyio.to_thread
from attrs import define, field

from colo import _core
from colo.agent.phases import Phases
from colo.agent.steps import Steps
from colo.agent.verification import Verification
from colo.model import messages
from colo.model.checkpoint import actions, events
from colo.model.checkpoint.secondary import Secondary
from colo.model.errors import PeerError
from colo.model.role import events as role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from anyio.abc import TaskGroup

    from colo._core import Relay, Replica
    from colo.agent.local_vm import LocalVm
    from colo.agent.verification import Memory

AT_ONCE = 1 << 16
"""Pages (256 MiB) that the cache may have newer than a VM that rests; a take-over has no more to copy than
these and one checkpoint's.
"""


@define(eq=False)
class ReplicaPairing:
    """`feed` is called by the decision loop only; `post` puts an event of this pairing into that loop."""

    relay: Relay
    vm: LocalVm | None
    """None while its QEMU starts: the cache is filled meanwhile. Its tracking has begun when it is set."""
    tasks: TaskGroup
    post: Callable[[events.SecondaryEvent], None]
    tell_role: Callable[[role.Event], None]
    send: Callable[[messages.Message], None]
    replica: Replica
    verified: Callable[[int, Memory], None]
    placed: Callable[[Phases], None]
    """A checkpoint is loaded, or stored for a copy that rests."""
    machine: Secondary = field(factory=Secondary)
    verification: Verification = field(init=False)
    _steps: Steps = field(init=False)
    _measure: Phases | None = None
    _whole: bool = False
    """The SVM's RAM holds a whole checkpoint, so that only written pages have to be restored."""
    _over: bool = False
    _lives: asyncio.Future[str] | None = None
    _timed: Mapping[type, tuple[str, Callable[[int], Awaitable[events.SecondaryEvent]]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._steps = Steps(self.tasks, self.post)
        self.verification = Verification(self.replica, self.verified)
        self._timed = {
            actions.StorePages: ("store", self._store),
            actions.StopSvm: ("stop", self._stop),
            actions.RestorePages: ("restore", self._restore),
            actions.LoadDevices: ("load", self._load),
            actions.MendPages: ("mend", self._mend),
            actions.ResumeSvm: ("start", self._resume),
        }
        self.relay.begin_secondary(self.replica)

    def feed(self, event: events.SecondaryEvent, now: int) -> None:
        """One event through the machine. Raises PeerError and LocalError of the machine."""
        if self._over:
            return
        if self.vm is None and isinstance(event, events.Planned | events.StateComplete):
            raise PeerError("a checkpoint came before this side said that it has started")
        due = self.machine.step(event, now)
        self._watch(event)
        for action in due:
            self._do(action)

    async def end(self) -> None:
        """No more steps, no more reports; a report that is on its way means nothing any more."""
        self._over = True
        if self._lives is not None:
            self._lives.cancel()
        await self._steps.cancel()

    def _watch(self, event: events.SecondaryEvent) -> None:
        match event:
            case events.Planned(n):
                self._measure = Phases(n)
                self._ask_whether_it_lives()
            case events.StateComplete() if self._measure is not None:
                self._measure.mark("received")
            case _:
                pass

    def _start(self, name: str, work: Callable[[int], Awaitable[events.SecondaryEvent]], n: int) -> None:
        if self._measure is None or self._measure.checkpoint != n:
            self._measure = Phases(n)  # the primary is lost, and the last one that was stored is loaded
        measure = self._measure

        async def measured() -> events.SecondaryEvent:
            with measure.phase(name):
                return await work(n)

        self._steps.start(name, measured)

    def _settled(self) -> None:
        measure, self._measure = self._measure, None
        if measure is not None and measure.phases_ms:  # nothing of one that was on its way only
            measure.mark("ready")
            self.placed(measure)

    def _do(self, action: actions.SecondaryAction) -> None:
        match action:
            case (
                actions.StorePages(n)
                | actions.StopSvm(n)
                | actions.RestorePages(n)
                | actions.LoadDevices(n)
                | actions.MendPages(n)
                | actions.ResumeSvm(n)
            ):
                name, work = self._timed[type(action)]
                self._start(name, work, n)
            case actions.SayReceived(n):
                self.send(messages.Received(n))
                self.tell_role(role.Committed(n))
            case actions.PassCut(n):
                self.relay.stored(n)
            case actions.EnterEpoch(epoch):
                self.relay.enter_epoch(epoch)
            case actions.Deliver():
                self.relay.deliver()
            case actions.SayLoaded(n):
                self.send(messages.Loaded(n))
                self._settled()
            case actions.SayStored(n):
                self.send(messages.Stored(n))
                self._settled()
            case actions.ForgetCheckpoint(n):
                self.replica.forget(n)
            case actions.ForgetCut():
                self.relay.forget_cut()
            case actions.ReadyToPromote():
                self.tell_role(role.ReplicaReady())
                self._settled()
            case actions.LosePrimary(why):
                self.tell_role(role.PeerLost(why))
            case actions.LoseReplica(why):
                self.tell_role(role.ReplicaFailed(why))
            case _:
                assert_never(action)

    @property
    def _svm(self) -> LocalVm:
        assert self.vm is not None, "no step comes before a checkpoint"
        return self.vm

    def _ask_whether_it_lives(self) -> None:
        """A QEMU that is stuck is found now, even if it rests, and not at the take-over. Asked when a
        checkpoint is announced, so that nobody waits for the answer once it is here.
        """
        self._lives = asyncio.ensure_future(self._svm.hypervisor.run_state())
        # Of a checkpoint that never comes nobody wants to know.
        self._lives.add_done_callback(lambda asked: asked.cancelled() or asked.exception())

    async def _store(self, n: int) -> events.Stored:
        if self._lives is not None:
            await self._lives
        newer = await anyio.to_thread.run_sync(self.replica.store, n)
        await self.verification.check(n, "cache")
        if self.machine.stopped and newer >= AT_ONCE:
            await self._restore(n)
        return events.Stored()

    async def _stop(self, _n: int) -> events.SvmStopped:
        await self._svm.hypervisor.stop_clean()
        self.relay.svm_stopped()
        return events.SvmStopped()

    async def _restore(self, _n: int) -> events.Restored:
        """The RAM of the VM, which is stopped, becomes that of the cache."""

        def restore() -> None:
            written = self._svm.tracker().collect(stopped=True)
            self.replica.restore(written if self._whole else _core.PageSet.all(self._svm.pages))
            self._whole = True

        await anyio.to_thread.run_sync(restore)
        return events.Restored()

    async def _load(self, n: int) -> events.DevicesLoaded:
        await self._svm.hypervisor.load(self.replica.device(n))
        return events.DevicesLoaded()

    async def _mend(self, n: int) -> events.Mended:
        await anyio.to_thread.run_sync(
            lambda: self.replica.restore(self._svm.tracker().collect(stopped=True))
        )
        await self.verification.check(n, "VM")
        return events.Mended()

    async def _resume(self, _n: int) -> events.SvmResumed:
        await self._svm.hypervisor.cont()
        return events.SvmResumed()
