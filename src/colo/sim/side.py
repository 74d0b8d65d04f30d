"""What both adapters around a checkpoint machine share: each step takes time, may fail, may be cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model.checkpoint import events as on

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.sim.agent import Agent
    from colo.sim.vm import Vm


class Side:
    """One step at a time; a newer one cuts the older one short."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._step = 0

    def discard(self) -> None:
        """No step ends any more, no event counts any more."""
        self._step = -1

    @property
    def vm(self) -> Vm:
        """The VM of this host; in place of a dead one, one that changes nothing."""
        return self.agent.vm or self.agent.new_vm()

    @property
    def ended(self) -> bool:
        """See `discard`."""
        return self._step < 0

    def later(self, name: str, work: Callable[[], on.PrimaryEvent | on.SecondaryEvent]) -> None:
        """Begins a step; its report comes when it is done."""
        if self.ended:
            return
        self._step += 1
        step = self._step

        def ended() -> None:
            if step != self._step:
                return
            dead, failed = self.agent.vm is None, self.agent.world.fails(self.agent.host)
            self.report(on.StepFailed(name, "it does") if dead or failed else work())

        takes = self.agent.world.step_time(self.agent.host, name)
        if takes is not None:
            self.agent.host.after(takes, "agent", ended)

    def report(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        """Queues an event of the machine."""
        self.agent.soon(lambda: self.feed(event), type(event).__name__)

    def feed(self, event: on.PrimaryEvent | on.SecondaryEvent) -> None:
        """One event through the machine, unless all is discarded."""
        raise NotImplementedError
