"""The witness on its host: persistent records, a clock of its own, answers that may be late or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model import witness as lease
from colo.sim.hosts import Host

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from colo.sim.loop import Loop
    from colo.sim.network import Network


class Witness:
    """Requests are independent of each other: each may overtake the others, as on connections that were given
    up.
    """

    def __init__(self, loop: Loop, network: Network, dice: Random) -> None:
        self.host = Host("w", loop, dice.randint(-5000, 5000), dice.randint(0, 10**12))
        self.state = lease.Witness()
        self._network = network

    def record(self) -> lease.Record | None:
        """The truth about the one VM of this world."""
        return self.state.records.get("vm")

    def ask(self, host: Host, request: lease.Request, answered: Callable[[lease.Answer], None]) -> None:
        """Carries the request there and the answer back; either may never arrive."""
        life = host.life

        def arrive() -> None:
            self.state, answer = lease.step(self.state, request, self.host.clock())
            back = lambda: host.run("agent", lambda: answered(answer), life)  # noqa: E731  one line of a journey
            self._network.carry("w", host.name, self._network.delay(), back)

        there = lambda: self.host.run("relay", arrive)  # noqa: E731
        self._network.carry(host.name, "w", self._network.delay(), there)

    def reboot(self) -> None:
        """Its records survive; its clock may have jumped."""
        self.host.boot()
        self.state = lease.restarted(self.state, self.host.clock())
