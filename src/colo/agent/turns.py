"""Something that the event loop calls again and again, without a task that is woken for each turn: a client
waits for a chain of these, and each waking costs several rounds of the loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Callable


@define(eq=False)
class Turns:
    """`turn` says within how many seconds it wants the next one. What it or `hear` raises ends `run`."""

    turn: Callable[[], float]
    hear: Callable[[], None]
    """Called when the descriptor is readable."""
    _next: asyncio.Handle | None = None
    _at_once: bool = False
    _failed: asyncio.Future[None] | None = None

    async def run(self, descriptor: int) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        loop.add_reader(descriptor, self._guarded, self.hear)
        self.soon()
        try:
            await self._failed
        finally:
            self._failed = None
            loop.remove_reader(descriptor)
            if self._next is not None:
                self._next.cancel()

    def soon(self) -> None:
        """The next turn comes at once; also when one is under way."""
        if self._failed is None or self._at_once:
            return
        self._at_once = True
        if self._next is not None:
            self._next.cancel()
        self._next = asyncio.get_running_loop().call_soon(self._guarded, self._take)

    def _take(self) -> None:
        self._at_once, self._next = False, None
        seconds = self.turn()
        if not self._at_once:
            self._next = asyncio.get_running_loop().call_later(seconds, self._guarded, self._take)

    def _guarded(self, work: Callable[[], None]) -> None:
        if self._failed is None or self._failed.done():
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._failed.set_exception(error)
