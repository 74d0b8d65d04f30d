"""A QMP session with one QEMU of x-colo's, and the moments at which its guest stopped and ran."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import frozen

from bench.xcolo.figures import Moment
from colo.hypervisor.qmp import Qmp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from colo.lab.process import HostProcess

_START_S = 20.0
_POLL_S = 0.02
_COMMAND_S = 10.0


@frozen
class Monitor:
    """`qmp` for commands; `moments` grows with QEMU's events."""

    qmp: Qmp
    moments: list[Moment]


@asynccontextmanager
async def monitor(process: HostProcess, path: Path) -> AsyncIterator[Monitor]:
    """Connects as soon as QEMU listens."""

    async def death() -> str:
        await anyio.to_thread.run_sync(process.wait, _COMMAND_S)
        return f"see {process.log}"

    moments: list[Moment] = []
    qmp = Qmp(_COMMAND_S, lambda event: moments.append(Moment(event.at, event.name)), lambda _: None, death)
    await qmp.connect(await _connected(path), _START_S)
    try:
        yield Monitor(qmp, moments)
    finally:
        await qmp.close()


async def _connected(path: Path) -> socket.socket:
    with anyio.fail_after(_START_S):
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError:
                connection.close()
                await anyio.sleep(_POLL_S)  # nobody tells when QEMU listens
            else:
                return connection
