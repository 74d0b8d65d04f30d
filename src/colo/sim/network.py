"""Links between hosts: delay, partition. A partition loses nothing that TCP would repeat: it comes late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.sim.loop import MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from colo.sim.hosts import Host
    from colo.sim.loop import Loop

Pair = frozenset[str]


class Network:
    """Who reaches whom, and how late."""

    def __init__(self, loop: Loop, dice: Random) -> None:
        self._loop = loop
        self._dice = dice
        self._cut: set[Pair] = set()
        self._late: list[tuple[Pair, Callable[[], None]]] = []

    def reaches(self, a: str, b: str) -> bool:
        """Whether packets between the two arrive now."""
        return frozenset((a, b)) not in self._cut

    def delay(self) -> int:
        """One way, for one packet."""
        return self._dice.randint(MS // 10, MS)

    def carry(self, a: str, b: str, delay: int, arrive: Callable[[], None]) -> None:
        """Brings something from a to b: after the delay, or when the partition ends."""
        pair = frozenset((a, b))
        self._loop.after(delay, lambda: self._late.append((pair, arrive)) if pair in self._cut else arrive())

    def partition(self, a: str, b: str) -> None:
        """Nothing passes between a and b."""
        self._cut.add(frozenset((a, b)))

    def heal(self, a: str, b: str) -> None:
        """Everything passes again; what waited comes now, in order."""
        pair = frozenset((a, b))
        self._cut.discard(pair)
        arrived = [arrive for of, arrive in self._late if of == pair]
        self._late = [(of, arrive) for of, arrive in self._late if of != pair]
        for arrive in arrived:
            arrive()


class End:
    """One end of a connection: messages arrive in order, on the relay thread of its host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.open = True
        self._early: list[object] = []
        self._receive: Callable[[object], None] = self._early.append
        self._down: Callable[[str], None] = lambda _why: None
        self._life = host.life
        self._other: End = self
        self._free = 0
        self._network: Network
        self._loop: Loop

    @staticmethod
    def connect(network: Network, loop: Loop, a: Host, b: Host) -> tuple[End, End]:
        """A connection between two hosts."""
        left, right = End(a), End(b)
        for one, other in ((left, right), (right, left)):
            one._other, one._network, one._loop = other, network, loop  # noqa: SLF001  the two are one thing
        return left, right

    def attach(self, receive: Callable[[object], None], down: Callable[[str], None]) -> None:
        """Who hears this end; first of all what arrived before there was anybody."""
        self._receive, self._down = receive, down
        for message in self._early:
            receive(message)

    def send(self, message: object, transfer: int = 0) -> None:
        """In order; `transfer` is what the size of it costs."""
        if self.open:
            other = self._other
            self._carry(transfer, lambda: other._hear(message))  # noqa: SLF001

    def close(self, why: str) -> None:
        """The other end hears of it, unless the network is cut."""
        if self.open:
            self.open = False
            self._carry(0, lambda: self._other._shut(why))  # noqa: SLF001

    def _hear(self, message: object) -> None:
        if self.open:
            self._receive(message)

    def _shut(self, why: str) -> None:
        if self.open:
            self.open = False
            self._down(why)

    def _carry(self, transfer: int, call: Callable[[], None]) -> None:
        other = self._other
        self._free = max(self._free, self._loop.now + self._network.delay() + transfer)
        self._network.carry(
            self.host.name,
            other.host.name,
            self._free - self._loop.now,
            lambda: other.host.run("relay", call, other._life),  # noqa: SLF001
        )
