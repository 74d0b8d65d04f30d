"""The first copy of a VM's RAM, while the VM runs: rounds of what was written meanwhile, until little is
left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import define, field

from colo import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import PageSet, Relay
    from colo.agent.local_vm import LocalVm

MAX_ROUNDS = 8
"""A VM that writes faster than the link carries is protected all the same: the first checkpoint takes the
rest.
"""
_ENOUGH_PAGES = 2048
"""8 MiB: the first checkpoint's pause for copying so much is a few milliseconds."""
_ROUND_DEADLINE_S = 600.0
_PAGE = _core.PAGE_SIZE


@define(eq=False)
class PreCopy:
    """`run` gives the pages that the first checkpoint has to carry besides those written from then on."""

    vm: LocalVm
    relay: Relay
    tell: Callable[[int, int], None]
    """Called at the start of each round with its number and its pages."""
    _sent: anyio.Event = field(factory=anyio.Event)

    def round_sent(self) -> None:
        """The relay has sent the round (its event `sent`)."""
        self._sent.set()

    async def run(self) -> PageSet:
        """Raises TimeoutError when a round does not get through."""
        tracker = self.vm.tracker()
        await anyio.to_thread.run_sync(tracker.collect)  # from here on nothing is missed
        pages = _core.PageSet.all(self.vm.pages)
        for number in range(1, MAX_ROUNDS + 1):
            self.tell(number, len(pages))
            await self._send(pages)
            pages = await anyio.to_thread.run_sync(tracker.collect)
            if len(pages) <= _ENOUGH_PAGES:
                break
        return pages

    async def _send(self, pages: PageSet) -> None:
        self._sent = anyio.Event()
        self.relay.send_pages(self.vm.ram, pages)
        with anyio.fail_after(_ROUND_DEADLINE_S):
            await self._sent.wait()
