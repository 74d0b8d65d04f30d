"""Hosts: they crash, freeze, or only their agent's decision loop stalls; their clocks run apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.sim.loop import Loop

Thread = Literal["relay", "agent"]
"""The relay thread (and the VM), or the agent's decision loop."""


class Host:
    """`life` counts the boots: what was planned in an earlier life never happens."""

    def __init__(self, name: str, loop: Loop, ppm: int, uptime: int) -> None:
        self.name = name
        self.alive = True
        self.life = 0
        self._loop = loop
        self._ppm = ppm
        self._uptime = uptime
        self._frozen: set[Thread] = set()
        self._backlog: list[tuple[Thread, int, Callable[[], None]]] = []

    def clock(self) -> int:
        """CLOCK_BOOTTIME of this host."""
        return self._uptime + self._loop.now + self._loop.now * self._ppm // 1_000_000

    def until(self, clock: int) -> int:
        """How long in true time until this host's clock shows `clock`."""
        return max(0, clock - self.clock()) * 1_000_000 // (1_000_000 + self._ppm) + 1

    def run(self, thread: Thread, call: Callable[[], None], life: int | None = None) -> None:
        """Runs now, after the thaw, or never."""
        if not self.alive or life not in (None, self.life):
            return
        if thread in self._frozen:
            self._backlog.append((thread, self.life, call))
        else:
            call()

    def after(self, delay: int, thread: Thread, call: Callable[[], None]) -> None:
        """Runs after `delay` of true time, in this life."""
        life = self.life
        self._loop.after(delay, lambda: self.run(thread, call, life))

    def freeze(self, *threads: Thread) -> None:
        """SIGSTOP."""
        self._frozen.update(threads)

    def thaw(self) -> None:
        """SIGCONT: what waited happens now, in order."""
        self._frozen.clear()
        backlog, self._backlog = self._backlog, []
        for thread, life, call in backlog:
            self.run(thread, call, life)

    def crash(self) -> None:
        """Everything on it is gone, without a word to anybody."""
        self.alive = False
        self.life += 1
        self._backlog.clear()

    def boot(self) -> None:
        """Up again, empty."""
        self.alive = True
        self._frozen.clear()
