"""Carries out what the role machine asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

import anyio
import structlog
from attrs import define, field

from colo import _core
from colo.agent.local_vm import LocalHooks, LocalVm
from colo.agent.primary_pairing import PrimaryPairing
from colo.agent.replica_pairing import ReplicaPairing
from colo.agent.reports import Reports
from colo.agent.steps import FAILURES
from colo.errors import ColoError
from colo.fence import SelfFence
from colo.model import messages
from colo.model.checkpoint import events as checkpoint
from colo.model.role import actions, events
from colo.network import announcements

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from colo._core import GuestRam, Relay
    from colo.agent.inbox import Inbox
    from colo.agent.journal import Journal
    from colo.agent.link import Link
    from colo.agent.measures import Measures
    from colo.agent.precopy import Copied
    from colo.config import Config
    from colo.hypervisor import Platform, QemuEvent

_log = structlog.get_logger()


@define(eq=False)
class Duties:
    """The VM or replica of this host and its pairing, as the role machine wants them."""

    config: Config
    platform: Platform
    relay: Relay
    inbox: Inbox
    journal: Journal
    measures: Measures
    tasks: TaskGroup
    link: Link
    tell_role: Callable[[events.Event], None]
    tell_round: Callable[[Copied], None]
    guard: Callable[[Callable[[], None]], None]
    """Runs a machine's step; what it raises is judged there."""
    now: Callable[[], int]
    hear_relay: Callable[[], None]
    """What the relay has reported by now goes into the inbox."""
    vm: LocalVm | None = None
    primary: PrimaryPairing | None = None
    replica: ReplicaPairing | None = None
    failure: ColoError | None = None
    """Why the last QEMU did not start."""
    reports: Reports = field(init=False)
    _busy: anyio.Lock = field(factory=anyio.Lock)
    """Duties that take time happen one after the other, in the order in which they were asked for."""

    def __attrs_post_init__(self) -> None:
        self.reports = Reports(self.journal, self.measures)

    def carry_out(self, action: actions.RoleAction) -> None:
        """At once, or in a task that tells the role machine how it ended."""
        match action:
            case actions.StartVm():
                self._later(self._start_vm)
            case actions.StartSync():
                self._start_sync()
            case actions.EndPairing(why):
                self._end_pairing(why)
            case actions.DropLink(why):
                self.link.drop(why)
            case actions.RunAlone():
                self.relay.alone()
            case actions.ContinueVm():
                self._later(self._continue_vm)
            case actions.StopVm(why):
                self._later(partial(self._stop_vm, why))
            case actions.DropVm(why):
                self._later(partial(self._drop_vm, why))
            case actions.StartReplica():
                self._later(self._start_replica)
            case actions.Promote():
                self._promote()
            case actions.AskToResign():
                self.link.send(messages.Resign())
            case _:
                assert_never(action)

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            async with self._busy:  # anyio's lock is fair: first come, first served
                await work()

        self.tasks.start_soon(run)

    # --- the VM ---

    async def _start_vm(self) -> None:
        try:
            vm = await self._start_qemu()
            self.relay.alone()
            await vm.hypervisor.boot()
            vm.running = True
        except FAILURES as error:
            await self._failed("the VM did not start", error)
            return
        self.journal.note("vm-started", f"QEMU {vm.hypervisor.version} runs the VM", pid=vm.hypervisor.pid)

    async def _start_qemu(self, on_memory: Callable[[GuestRam], None] = lambda _: None) -> LocalVm:
        self.failure = None
        hooks = LocalHooks(self._qemu_event, on_memory)
        vm = await LocalVm.start(self.config, self.platform.program, self.relay, self.tasks, hooks)
        self.vm = vm

        async def watch() -> None:
            await vm.hypervisor.died.wait()
            if self.vm is vm:
                self.tell_role(events.VmDied(vm.hypervisor.why_died))

        self.tasks.start_soon(watch)
        return vm

    async def _failed(self, what: str, error: Exception) -> None:
        _log.warning(what, exc_info=error)
        self.failure = error if isinstance(error, ColoError) else None
        await self._forget_vm(what)
        self.tell_role(events.VmDied(f"{what}: {error}"))

    async def _forget_vm(self, why: str) -> None:
        vm, self.vm = self.vm, None
        if vm is not None:
            await vm.end(why)

    async def _continue_vm(self) -> None:
        if self.vm is None:
            return  # VmDied was told
        try:
            await self.vm.hypervisor.cont()
            self.relay.resume_ingress()
        except FAILURES as error:
            await self._failed("the VM did not go on", error)

    async def _stop_vm(self, why: str) -> None:
        await self._end_steps()
        if self.vm is None:
            self.tell_role(events.VmDied("it had ended already"))
            return
        hypervisor = self.vm.hypervisor
        fence = SelfFence.of_process(hypervisor.pid, lambda: self.relay.gate(0), hypervisor.stop)
        try:
            report = await fence.fence(why)
        finally:
            fence.close()
        self.journal.note("vm-stopped", why, how=report.step.value, took_ms=report.took_ms)
        if report.step.value == "stopped":
            self.tell_role(events.VmStopped())
        else:
            self.tell_role(events.VmDied(f"{why} ({report.step.value})"))

    async def _drop_vm(self, why: str) -> None:
        await self._end_steps()
        self.relay.close()
        await self._forget_vm(why)
        self.primary = self.replica = None
        self.tell_role(events.VmDied(why))

    async def _end_steps(self) -> None:
        for pairing in (self.primary, self.replica):
            if pairing is not None:
                await pairing.end()

    def _qemu_event(self, event: QemuEvent) -> None:
        if event.name in {"SHUTDOWN", "RESET", "GUEST_PANICKED"}:
            self.journal.note("guest", f"QEMU reports {event.name.lower()} of the guest")

    # --- the pairing ---

    def _start_sync(self) -> None:
        if self.vm is None:
            return  # VmDied was told
        pairing = PrimaryPairing(
            self.config,
            self.relay,
            self.vm,
            self.measures,
            self.tasks,
            post=lambda event: self._post_primary(pairing, event),
            tell_role=self.tell_role,
            send=self.link.send,
            tell_round=self.tell_round,
            on_done=self.reports.done,
            on_policy=self.reports.policy,
        )
        self.primary = pairing
        pairing.start()

    def _post_primary(self, pairing: PrimaryPairing, event: checkpoint.PrimaryEvent) -> None:
        self.hear_relay()  # a step that fails for a lost link comes after what tells why it is lost
        self.inbox.post(lambda: self.guard(lambda: pairing.feed(event, self.now())))

    def to_primary(self, event: checkpoint.PrimaryEvent) -> None:
        """An event of the current pairing, if this is the primary of one."""
        if self.primary is not None:
            self.primary.feed(event, self.now())

    def peer_started(self) -> None:
        """The secondary's QEMU is there, if this is the primary of a pairing."""
        if self.primary is not None:
            self.primary.work.peer_started.set()

    def output_waits(self, epoch: int, *, only_acks: bool) -> None:
        """The relay holds what the VM said in this epoch."""
        if self.primary is not None:
            self.primary.output_waits(epoch, self.now(), only_acks=only_acks)

    async def _start_replica(self) -> None:
        try:
            vm = await self._start_qemu(self._begin_replica)
            await anyio.to_thread.run_sync(vm.tracker)
        except FAILURES as error:
            await self._failed("the replica did not start", error)
            return
        if self.replica is not None:
            self.replica.vm = vm
            self.link.send(messages.Started())

    def _begin_replica(self, ram: GuestRam) -> None:
        """The cache needs no QEMU: the primary fills it while that starts."""
        pairing = ReplicaPairing(
            self.relay,
            None,
            self.tasks,
            post=lambda event: self._post_replica(pairing, event),
            tell_role=self.tell_role,
            send=self.link.send,
            replica=_core.Replica(ram, self.config.checkpoint.max_staging_bytes),
            verified=lambda n, memory: self.inbox.post(lambda: self.reports.verified(n, memory)),
            placed=self.reports.placed,
        )
        self.replica = pairing
        self.link.send(messages.Ready())

    def _post_replica(self, pairing: ReplicaPairing, event: checkpoint.SecondaryEvent) -> None:
        self.inbox.post(lambda: self.guard(lambda: pairing.feed(event, self.now())))

    def to_replica(self, event: checkpoint.SecondaryEvent) -> None:
        """An event of the current pairing, if this is the secondary of one."""
        if self.replica is not None:
            self.replica.feed(event, self.now())

    def announced(self, checkpoint: int, ram_hash: int) -> None:
        """What the primary's RAM was at this cut, if this is the secondary of a pairing."""
        if self.replica is not None:
            self.replica.verification.announce(checkpoint, ram_hash)

    def _end_pairing(self, why: str) -> None:
        if self.primary is not None:
            self.primary.feed(checkpoint.PeerLost(why), self.now())
        if self.replica is not None:
            self.replica.feed(checkpoint.PrimaryLost(why), self.now())

    def _promote(self) -> None:
        if self.vm is None:
            return  # VmDied was told
        self.vm.running = True
        self.relay.promote()
        self.replica = None
        for number, nic in enumerate(self.config.vm.nic):
            for frame in announcements(nic.mac, self.relay.guest_addresses(number)):
                self.relay.inject(number, frame)
