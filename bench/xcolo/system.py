"""What both systems can be asked to do, and what they are measured with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from colo.lab.impairment import Impairment
    from colo.lab.namespaces import Network
    from colo.lab.pair import Guest


@frozen
class Case:
    """One guest, one link; `seconds` of idleness, and of each load once settled. `odd`: see
    `commands.ODD_KIB`.
    """

    guest: Guest
    memory_mib: int
    link: Impairment | None
    period_ms: int
    seconds: float
    odd: bool


class System(Protocol):
    """The context is a pair whose guest boots, not yet protected. What goes wrong raises ColoError or
    TimeoutError.
    """

    folder: Path

    def __init__(self, folder: Path, case: Case) -> None: ...

    @property
    def network(self) -> Network:
        """With the client's host."""

    @property
    def pauses_ms(self) -> list[float]:
        """Of the checkpoints so far, but for the one that ends the first copy: from STOP to RESUME."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def protect(self) -> float:
        """Seconds from the command until both run on from the same state."""

    @property
    def checkpoints(self) -> int:
        """How many there were, as far as it was asked."""

    async def watch(self, seconds: float) -> None:
        """Lets it work for so long, and notes its pauses."""

    async def work(self, seconds: float) -> None:
        """Lets it work for so long, and asks it as little as can be: that would take processors from it."""

    async def lose_primary(self) -> None:
        """Kills it; the secondary takes over."""
