"""A VM that stands still for a moment, and runs on whatever happens."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import structlog

from colo.agent.steps import FAILURES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from colo.hypervisor import Hypervisor

_log = structlog.get_logger()


@asynccontextmanager
async def stopped(hypervisor: Hypervisor) -> AsyncIterator[None]:
    """The VM stands still inside. Raises QemuError when it cannot be stopped."""
    try:
        await hypervisor.stop()
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await _let_go(hypervisor)


async def _let_go(hypervisor: Hypervisor) -> None:
    try:
        await hypervisor.cont()
    except FAILURES:
        # A QEMU that does not answer is killed, which whoever watches the process is told.
        _log.warning("the VM does not go on after a stop", exc_info=True)
