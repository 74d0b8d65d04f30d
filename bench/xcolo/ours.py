"""A pair of ours in the laboratory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import anyio

from bench.checkpoints import collect
from bench.xcolo.commands import MACHINE
from colo.lab.pair import HOSTS, Options, Pair

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from bench.xcolo.system import Case
    from colo.lab.namespaces import Network


class Colo:
    """All but the period and the machine is as by default."""

    def __init__(self, folder: Path, case: Case) -> None:
        vm = {"memory_mib": case.memory_mib, "machine": MACHINE}
        options = Options(vm=vm, checkpoint={"period_ms": case.period_ms}, link=case.link)
        self.folder = folder
        self.pauses_ms: list[float] = []
        self.checkpoints = 0
        self._pair = Pair(folder, case.guest, options, boot=True)

    @property
    def network(self) -> Network:
        """See System."""
        return self._pair.network

    async def __aenter__(self) -> Self:
        await self._pair.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pair.__aexit__(kind, error, trace)

    async def protect(self) -> float:
        """See System."""
        began = told = time.monotonic()
        async for _ in self._pair.protect(HOSTS[0]):
            told = time.monotonic()
        return told - began

    async def watch(self, seconds: float) -> None:
        """See System."""
        self.pauses_ms += [float(done["pause_ms"]) for done in await collect(self._pair, HOSTS[0], seconds)]
        await self._count()

    async def work(self, seconds: float) -> None:
        """See System. To follow its events costs an answer that differs 2 ms."""
        await anyio.sleep(seconds)
        await self._count()

    async def _count(self) -> None:
        self.checkpoints = (await self._pair.status(HOSTS[0])).checkpoints.total

    async def lose_primary(self) -> None:
        """See System."""
        self._pair.kill(HOSTS[0])
        await self._pair.until(HOSTS[1], "degraded")
