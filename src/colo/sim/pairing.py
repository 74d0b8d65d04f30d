"""The adapter around the checkpoint machines: each step takes time, may fail, and may be cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model import messages
from colo.model.checkpoint import actions as do
from colo.model.checkpoint import events as on
from colo.model.checkpoint import primary, secondary
from colo.model.role import events as role
from colo.sim.loop import MS
from colo.sim.relay import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.sim.agent import Agent
    from colo.sim.vm import Vm

_PRECOPY = 20 * MS
_REASONS = {"divergence": on.Reason.MISMATCH, "hold_limit": on.Reason.HOLD_LIMIT}


class _Side:
    """One step at a time; a newer one cuts the older one short."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._step = 0

    def discard(self) -> None:
        """No step ends any more, no event counts any more."""
        self._step = -1

    @property
    def _vm(self) -> Vm:
        return self.agent.vm or self.agent.new_vm()  # a dead one changes nothing

    def _later(self, name: str, work: Callable[[], on.PrimaryEvent | on.SecondaryEvent]) -> None:
        if self._step < 0:
            return
        self._step += 1
        step = self._step

        def ended() -> None:
            if step != self._step:
                return
            dead, failed = self.agent.vm is None, self.agent.world.fails(self.agent.host)
            self._report(on.StepFailed(name, "it does") if dead or failed else work())

        self.agent.host.after(self.agent.world.step_time(), "agent", ended)

    def _report(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        self.agent.soon(lambda: self._feed(event), type(event).__name__)

    def _feed(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        raise NotImplementedError


class PrimarySide(_Side):
    """Pre-copy, then checkpoints."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        world = agent.world
        self.machine: primary.Primary | None = None
        self._ram: tuple[int, ...] = ()
        self._device = 0
        self._armed: int | None = None
        agent.host.after(_PRECOPY, "agent", lambda: self._copied(world.mode, world.period))

    def _copied(self, mode: primary.Resume, period: int) -> None:
        if self._step == 0:
            timeout = self.agent.world.timing.checkpoint_ns
            self.machine = primary.Primary(resume=mode, period_ns=period, timeout_ns=timeout)
            self._report(on.Trigger(on.Reason.FIRST))

    def trigger(self, kind: str) -> None:
        """The relay complains."""
        self._feed(on.Trigger(_REASONS[kind]))

    def message(self, message: messages.Received | messages.Loaded) -> None:
        """The secondary answers."""
        done = isinstance(message, messages.Loaded)
        number = message.checkpoint
        self._feed(on.LoadedByPeer(number) if done else on.ReceivedByPeer(number))

    def end(self, why: str) -> None:
        """The secondary is lost."""
        if self.machine:
            self._feed(on.PeerLost(why))
        else:
            self.discard()

    def _feed(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        if self.machine and self._step >= 0:
            self._carry_out(self.machine.step(event, self.agent.host.clock()))  # type: ignore[arg-type]

    def _on_timer(self) -> None:
        def work() -> None:
            if self.machine and self._step >= 0:
                self._carry_out(self.machine.handle_timer(self.agent.host.clock()))

        self._armed = None
        self.agent.soon(work, "checkpoint timer")

    def _carry_out(self, actions: tuple[do.PrimaryAction, ...]) -> None:
        for action in actions:
            self.agent.world.note(self.agent.host.name, action)
            self._do(action)
        due, armed = self.machine.next_timer() if self.machine else None, self._armed
        self._armed = due
        if due is not None and due != armed:
            self.agent.host.after(self.agent.host.until(due), "agent", self._on_timer)

    def _do(self, action: do.PrimaryAction) -> None:
        relay = self.agent.relay
        match action:
            case do.PauseIngressAndStop():
                relay.pause_ingress()
                self._later("stop", self._stop)
            case do.MarkCut(checkpoint):
                relay.cut(checkpoint)
            case do.SaveState():
                self._later("save", self._save)
            case do.CollectPages():
                self._later("collect", self._collect)
            case do.ResumeVm():
                self._later("resume", self._resume)
            case do.SendState(checkpoint):
                damaged = self.agent.world.fails(self.agent.host)
                state = State(checkpoint, self._ram, self._device, damaged)
                relay.send(state, self.agent.world.step_time())
            case do.Commit(checkpoint):
                relay.commit(checkpoint)
                self.agent.feed(role.Committed(checkpoint))
            case do.NoteLoaded():
                relay.loaded()
            case do.DeclareSecondaryLost(why):
                self.agent.feed(role.PeerLost(why))
            case do.DeclareVmLost(why):
                self.agent.feed(role.VmDied(why))

    def _stop(self) -> on.VmStopped:
        self._vm.stop()
        return on.VmStopped()

    def _save(self) -> on.StateSaved:
        self._device = self._vm.device
        return on.StateSaved()

    def _collect(self) -> on.PagesCollected:
        self._ram = tuple(self._vm.ram)
        return on.PagesCollected(len(self._ram), len(self._ram))

    def _resume(self) -> on.VmResumed:
        self._vm.resume()
        self.agent.relay.resume_ingress()
        return on.VmResumed()


class SecondarySide(_Side):
    """The replica."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.machine = secondary.Secondary()

    def arrived(self, kind: str, checkpoint: object) -> None:
        """The relay has a checkpoint, whole or damaged."""
        assert isinstance(checkpoint, int)
        if kind == "state_complete":
            self._feed(on.StateComplete(checkpoint))
        else:
            self._feed(on.StateDamaged(checkpoint, "bits flipped"))

    def end(self, why: str) -> None:
        """The primary is lost."""
        self._feed(on.PrimaryLost(why))

    def history(self) -> list[int] | None:
        """What would survive here if the primary died now; None: nothing."""
        state = self.machine.state
        if state in (secondary.State.EMPTY, secondary.State.LOST) or self.agent.vm is None:
            return None
        incoming = self.agent.relay.incoming
        if state in (secondary.State.RUNNING, secondary.State.READY) or incoming is None:
            return self.agent.vm.ram
        return list(incoming.ram)

    def _feed(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        if self._step >= 0:
            for action in self.machine.step(event, self.agent.host.clock()):  # type: ignore[arg-type]
                self.agent.world.note(self.agent.host.name, action)
                self._do(action)

    def _do(self, action: do.SecondaryAction) -> None:
        relay = self.agent.relay
        match action:
            case do.SayReceived(checkpoint):
                relay.send(messages.Received(checkpoint))
                self.agent.feed(role.Committed(checkpoint))
            case do.StopSvm():
                self._later("stop", self._stop)
            case do.ApplyPages():
                self._later("apply", self._apply)
            case do.LoadDevices():
                self._later("load", self._load)
            case do.MendPages():
                self._later("mend", on.Mended)
            case do.EnterEpoch(epoch):
                relay.enter_epoch(epoch)
            case do.ResumeSvm():
                self._later("resume", self._resume)
            case do.Deliver() | do.ForgetCut():
                relay.deliver()
            case do.SayLoaded(checkpoint):
                relay.send(messages.Loaded(checkpoint))
            case do.ForgetCheckpoint():
                relay.incoming = None
            case do.ReadyToPromote():
                self.agent.feed(role.ReplicaReady())
            case do.LosePrimary(why):
                self.agent.lost(why)
            case do.LoseReplica(why):
                self.agent.feed(role.ReplicaFailed(why))

    def _stop(self) -> on.SvmStopped:
        self._vm.stop()
        return on.SvmStopped()

    def _apply(self) -> on.Applied:
        if self.agent.relay.incoming:
            self._vm.ram[:] = self.agent.relay.incoming.ram
        return on.Applied()

    def _load(self) -> on.DevicesLoaded:
        if self.agent.relay.incoming:
            self._vm.device = self.agent.relay.incoming.device
        return on.DevicesLoaded()

    def _resume(self) -> on.SvmResumed:
        self._vm.resume()
        return on.SvmResumed()
