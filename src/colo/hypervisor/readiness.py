"""A save that is begun before it is wanted, so that the guest can be stopped at once when it is.

QEMU begins a migration with a thread, dirty logging and the ROMs, 2 ms while the guest runs, and stops the
guest when only devices are left to write. The pipe that it writes into takes less than the ROMs: there it
waits, outside of its locks, until the pipe is read (decision 0041).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import attrs
import structlog

from colo.errors import QemuError
from colo.hypervisor import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from colo.hypervisor.qmp import Qmp
    from colo.hypervisor.saving import Save

_log = structlog.get_logger()


@attrs.define(eq=False)
class Readiness:
    """At most one such save. Its methods may be called from several tasks."""

    _qmp: Qmp
    _begin: Callable[[], Awaitable[Save]]
    _save: Save | None = None
    _watched: asyncio.Task[None] | None = None
    _waits: bool = True
    """QEMU was not seen to go on by itself."""
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)  # nobody waits for one that is free

    async def get(self) -> None:
        """Begins one, unless there is one."""
        with anyio.CancelScope(shield=True):  # each command has its deadline
            async with self._lock:
                if self._save is None and self._waits:
                    self._save = await self._begin()
                    self._watched = asyncio.create_task(self._watch(self._save))

    async def take(self) -> Save | None:
        """The one there is, to be gone on with by the caller; None if there is none."""
        async with self._lock:
            save, self._save = self._save, None
            if self._watched is not None:
                self._watched.cancel()
                self._watched = None
            if save is not None and save.is_over:
                await self._clear_away(save)
                return None
            return save

    async def lose(self) -> None:
        """Ends the one there is; the guest runs on."""
        save = await self.take()
        if save is not None:
            save.give_up()
            await save.settled()

    async def _watch(self, save: Save) -> None:
        await save.over()
        async with self._lock:
            if self._save is save:
                self._save = self._watched = None
                await self._clear_away(save)

    async def _clear_away(self, save: Save) -> None:
        """It has ended though nobody wanted it."""
        end = await save.over()
        save.give_up()
        if end is None or end.data["status"] != "completed":
            return  # QEMU is dead, or could not; then the next one will be told why
        self._waits = False
        _log.warning("QEMU did not wait before the stop: it prepares no saves any more")
        try:
            await running.cont(self._qmp)
        except QemuError:
            _log.warning("the VM does not go on after a stop", exc_info=True)
