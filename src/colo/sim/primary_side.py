"""The adapter around the primary's checkpoint machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model import messages
from colo.model.checkpoint import actions as do
from colo.model.checkpoint import events as on
from colo.model.checkpoint.primary import Primary
from colo.model.role import events as role
from colo.sim.link_messages import State
from colo.sim.loop import MS
from colo.sim.side import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from colo.sim.agent import Agent

_PRECOPY = 20 * MS
_EPOCH = 50 * MS
_ANSWERS: Mapping[type, Callable[[int], on.PrimaryEvent]] = {
    messages.Received: on.ReceivedByPeer,
    messages.Loaded: on.LoadedByPeer,
    messages.Stored: on.StoredByPeer,
}
_REASONS = {"divergence": on.Reason.MISMATCH, "hold_limit": on.Reason.HOLD_LIMIT}


class PrimarySide(Side):
    """Pre-copy, then checkpoints."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.machine: Primary | None = None
        self._ram: tuple[int, ...] = ()
        self._device = 0
        self._armed: int | None = None
        self._is_copied = self._peer_started = self._goes_on = False
        agent.host.after(_PRECOPY, "agent", self._copied)

    def peer_started(self) -> None:
        """The secondary's hypervisor is there."""
        self._peer_started = True
        self._begin()

    def _copied(self) -> None:
        self._is_copied = True
        self._begin()

    def _begin(self) -> None:
        if self._is_copied and self._peer_started and self.machine is None and not self.ended:
            world = self.agent.world
            self.machine = Primary(
                resume=world.mode,
                pace=self._pace(),
                pause_ns=world.timing.pause_ns,
                timeout_ns=world.timing.checkpoint_ns,
            )
            self.report(on.Trigger(on.Reason.FIRST))

    def change_pace(self) -> None:
        """The policy has changed its mind."""
        self.agent.host.run("agent", lambda: self.report(self._pace()))

    def _pace(self) -> on.Pace:
        period, rest = self.agent.world.period, self.agent.world.rest
        return on.Pace(period or _EPOCH if rest else period, rest)

    def trigger(self, kind: str, epoch: int) -> None:
        """The relay complains."""
        self.feed(on.Trigger(_REASONS[kind], epoch=epoch))

    def message(self, message: messages.Received | messages.Loaded | messages.Stored) -> None:
        """The secondary answers."""
        self.feed(_ANSWERS[type(message)](message.checkpoint))

    def end(self, why: str) -> None:
        """The secondary is lost."""
        if self.machine:
            self.feed(on.PeerLost(why))
        else:
            self.discard()

    def feed(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        """See Side."""
        if self.machine and not self.ended:
            self._carry_out(self.machine.step(event, self.agent.host.clock()))  # type: ignore[arg-type]

    def _on_timer(self) -> None:
        def work() -> None:
            if self.machine and not self.ended:
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
            case do.SayPlan(checkpoint, rest):
                relay.send(messages.Plan(checkpoint, rest))
            case do.PauseIngressAndStop():
                relay.pause_ingress()
                self.later("stop", self._stop)
            case do.MarkCut(checkpoint):
                self._cut(checkpoint)
            case do.GoOnWhenSaved():
                self._goes_on = True
            case do.SaveState():
                self.later("save", self._save)
            case do.CollectPages():
                self.later("collect", self._collect)
            case do.ResumeVm():
                self.later(on.RESUME, self._resume)
            case do.SendState(checkpoint):
                damaged = self.agent.world.fails(self.agent.host)
                state = State(checkpoint, self._ram, self._device, damaged)
                takes = self.agent.world.step_time(self.agent.host, "send")
                if takes is not None:
                    relay.commit_when(messages.Received(checkpoint))
                    relay.send(state, takes)
            case do.Commit(checkpoint):
                relay.commit(checkpoint)
                self.agent.feed(role.Committed(checkpoint))
            case do.NoteLoaded():
                relay.loaded()
            case do.DeclareSecondaryLost(why):
                self.agent.feed(role.PeerLost(why))
            case do.DeclareVmLost(why):
                self.agent.feed(role.VmDied(why))

    def _cut(self, checkpoint: int) -> None:
        try:
            self.agent.relay.cut(checkpoint)
        except RuntimeError as error:
            self.report(on.StepFailed("cut", str(error)))

    def _stop(self) -> on.VmStopped:
        self.vm.stop()
        self._goes_on = False
        return on.VmStopped()

    def _save(self) -> on.StateSaved:
        self._device = self.vm.device
        if self._goes_on:
            self.vm.resume()
        return on.StateSaved()

    def _collect(self) -> on.PagesCollected:
        self._ram = tuple(self.vm.ram)
        return on.PagesCollected(len(self._ram), len(self._ram))

    def _resume(self) -> on.VmResumed:
        self.vm.resume()
        self.agent.relay.resume_ingress()
        return on.VmResumed()
