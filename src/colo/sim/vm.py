"""A VM that counts: request i is answered with a value that depends on all that came before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


class HalfStateError(AssertionError):
    """A VM was run on RAM of one checkpoint and devices of another."""


class Vm:
    """`ram` holds the answers so far, `device` their number: two parts that a checkpoint must move together.

    Now and then (`flip`) a VM answers with a value of its own, as guests do that look at clocks and random
    numbers.
    """

    def __init__(self, dice: Random, flip: float, output: Callable[[int, int], None]) -> None:
        self.ram: list[int] = []
        self.device = 0
        self.running = False
        self._inbox: list[int] = []
        self._dice = dice
        self._flip = flip
        self._output = output

    def resume(self) -> None:
        """Runs, and reads what came in meanwhile."""
        if len(self.ram) != self.device:
            raise HalfStateError(f"{len(self.ram)} answers in RAM, the device counts {self.device}")
        self.running = True
        inbox, self._inbox = self._inbox, []
        for request in inbox:
            self.feed(request)

    def stop(self) -> None:
        """Stands still; input waits."""
        self.running = False

    def feed(self, request: int) -> None:
        """Request number `request`, counted from 1. One that was answered before is answered again, alike."""
        if not self.running:
            self._inbox.append(request)
        elif request <= self.device + 1:
            if request == self.device + 1:
                self._count()
            self._output(request, self.ram[request - 1])

    def _count(self) -> None:
        nonce = self._dice.getrandbits(30) if self._dice.random() < self._flip else 0
        self.device += 1
        self.ram.append(hash((self.ram[-1] if self.ram else 0, self.device, nonce)))

    def answered(self, request: int, value: int) -> bool:
        """Whether this history contains that answer."""
        return covers(self.ram, request, value)


def covers(history: list[int], request: int, value: int) -> bool:
    """Whether a history contains that answer to that request."""
    return request <= len(history) and history[request - 1] == value
