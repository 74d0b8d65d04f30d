"""The adapter around the secondary's checkpoint machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model import messages
from colo.model.checkpoint import actions as do
from colo.model.checkpoint import events as on
from colo.model.checkpoint.secondary import Secondary
from colo.model.checkpoint.secondary_table import State as Replica
from colo.model.errors import PeerError
from colo.model.role import events as role
from colo.sim.side import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from colo.sim.agent import Agent
    from colo.sim.link_messages import State


class SecondarySide(Side):
    """The replica."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.machine = Secondary()
        self._steps: Mapping[type, tuple[str, Callable[[], on.SecondaryEvent]]] = {
            do.StorePages: ("store", self._store),
            do.StopSvm: ("stop", self._stop),
            do.RestorePages: ("restore", self._restore),
            do.LoadDevices: ("load", self._load),
            do.MendPages: ("mend", on.Mended),
            do.ResumeSvm: ("resume", self._resume),
        }
        self._started = False
        self._received: State | None = None
        self._cache: State | None = None

    def start(self) -> None:
        """The hypervisor is there."""
        if not self.ended and self.agent.vm:
            self._started = True
            self.agent.relay.send(messages.Started())

    def planned(self, plan: messages.Plan) -> None:
        """The primary says what follows its next checkpoint."""
        self.feed(on.Planned(plan.checkpoint, plan.rest))

    def arrived(self, kind: str, checkpoint: object) -> None:
        """The relay has a checkpoint, whole or damaged."""
        assert isinstance(checkpoint, int)
        if kind == "state_complete":
            self.feed(on.StateComplete(checkpoint))
        else:
            self.feed(on.StateDamaged(checkpoint, "bits flipped"))

    def end(self, why: str) -> None:
        """The primary is lost."""
        self.feed(on.PrimaryLost(why))

    def history(self) -> list[int] | None:
        """What would survive here if the primary died now; None: nothing."""
        state = self.machine.state
        if state in (Replica.EMPTY, Replica.LOST) or self.agent.vm is None:
            return None
        if state in (Replica.RUNNING, Replica.READY) or self._received is None:
            return self.agent.vm.ram
        return list(self._received.ram)

    def feed(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        """See Side."""
        if not self._started and isinstance(event, on.Planned | on.StateComplete):
            raise PeerError("a checkpoint came before this side said that it has started")
        if not self.ended:
            for action in self.machine.step(event, self.agent.host.clock()):  # type: ignore[arg-type]
                self.agent.world.note(self.agent.host.name, action)
                self._do(action)

    def _do(self, action: do.SecondaryAction) -> None:
        relay = self.agent.relay
        if step := self._steps.get(type(action)):
            self.later(*step)
            return
        match action:
            case do.SayReceived(checkpoint):
                self._received = relay.incoming
                relay.send(messages.Received(checkpoint))
                self.agent.feed(role.Committed(checkpoint))
            case do.PassCut(checkpoint):
                relay.stored(checkpoint)
            case do.EnterEpoch(epoch):
                relay.enter_epoch(epoch)
            case do.Deliver() | do.ForgetCut():
                relay.deliver()
            case do.SayLoaded(checkpoint):
                relay.send(messages.Loaded(checkpoint))
            case do.SayStored(checkpoint):
                relay.send(messages.Stored(checkpoint))
            case do.ForgetCheckpoint():
                relay.incoming = None
            case do.ReadyToPromote():
                self.agent.feed(role.ReplicaReady())
            case do.LosePrimary(why):
                self.agent.lost(why)
            case do.LoseReplica(why):
                self.agent.feed(role.ReplicaFailed(why))

    def _store(self) -> on.Stored:
        self._cache = self._received
        return on.Stored()

    def _stop(self) -> on.SvmStopped:
        self.vm.stop()
        return on.SvmStopped()

    def _restore(self) -> on.Restored:
        if self._cache:
            self.vm.ram[:] = self._cache.ram
        return on.Restored()

    def _load(self) -> on.DevicesLoaded:
        if self._cache:
            self.vm.device = self._cache.device
        return on.DevicesLoaded()

    def _resume(self) -> on.SvmResumed:
        self.vm.resume()
        return on.SvmResumed()
