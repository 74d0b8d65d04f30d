"""The first copy of a VM's RAM, while the VM runs: rounds of what was written meanwhile, until the first
checkpoint can take the rest (`model.convergence` says when).
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog
from attrs import define, field, frozen

from colo import _core
from colo.agent.stopped import stopped
from colo.model.convergence import Convergence, Finish, Round

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo._core import Encoder, PageSet, Relay
    from colo.agent.local_vm import LocalVm
    from colo.model.compression import Compression, Tally

_SLICE_PAGES = 1024
"""4 MiB go to the relay at a time: enough to keep a link busy, few enough to see soon what it takes."""
_SLOWED_SLICE_PAGES = 512
"""While the VM is slowed down it stands still for the time of so many pages at a time: 16 ms at 1 Gbit/s."""
_LEAST_SLICE_PAGES = 64
_PACES_PER_S = 10
"""How even a limited rate is."""
_AHEAD = 2
"""Slices that the relay has: one is sent while the next one waits."""
_SLICE_DEADLINE_S = 120.0
_START_S = 30.0
"""How long the secondary's QEMU may still take after the first round."""
_PAGE = _core.PAGE_SIZE
_MIB = 1 << 20

_log = structlog.get_logger()


@frozen
class Copied:
    """Where a pre-copy is. `rate`: bytes on the link per second in this round. `stopped`: the share of the
    time for which the VM is stopped.
    """

    number: int
    pages: int
    done: int = 0
    sent_bytes: int = 0
    rate: float = 0.0
    stopped: float = 0.0


@define(eq=False)
class PreCopy:
    """`run` gives the pages that the first checkpoint has to carry besides those written from then on."""

    vm: LocalVm
    relay: Relay
    encoder: Encoder
    compression: Compression
    convergence: Convergence
    tell: Callable[[Copied], None]
    """Called at the start of each round, and as it goes on."""
    peer_started: anyio.Event
    """The secondary's QEMU is there. It starts during the first round."""
    max_mib_s: int = 0
    """On the link; 0 is no limit."""
    _tallies: deque[Tally] = field(factory=deque)
    _arrived: anyio.Event = field(factory=anyio.Event)

    def slice_sent(self, tally: Tally) -> None:
        """The relay has sent a slice (its event `sent`)."""
        self._tallies.append(tally)
        self._arrived.set()

    async def run(self) -> PageSet:
        """Raises TimeoutError when nothing gets through, QemuError when the VM cannot be stopped."""
        tracker = self.vm.tracker()
        await anyio.to_thread.run_sync(tracker.collect)  # from here on nothing is missed
        # What nobody has touched by now is zeros; whoever writes there from here on is seen by the tracker.
        pages = await anyio.to_thread.run_sync(self.vm.ram.used)
        blank = _core.PageSet.all(self.vm.pages).difference(pages)
        number = 1
        while True:
            began = monotonic()
            await _Transfer(self, number, pages, blank).run()
            took_s = monotonic() - began
            await self._until_started()
            left = await anyio.to_thread.run_sync(tracker.collect)
            step = self.convergence.after(Round(len(pages), took_s, len(left)))
            _log.info("pre-copy", round=number, pages=len(pages), left=len(left), step=str(step))
            if isinstance(step, Finish):
                return left
            pages, blank, number = left, _core.PageSet.all(0), number + 1

    async def _until_started(self) -> None:
        """What is written until then belongs to the next round."""
        try:
            with anyio.fail_after(_START_S):
                await self.peer_started.wait()
        except TimeoutError as error:
            raise TimeoutError(f"the secondary's QEMU did not start within {_START_S:g} s") from error

    async def next_tally(self) -> Tally:
        """Of the oldest slice that is still to be sent."""
        with anyio.fail_after(_SLICE_DEADLINE_S):
            while not self._tallies:
                self._arrived = anyio.Event()
                await self._arrived.wait()
        return self._tallies.popleft()


@define(eq=False)
class _Transfer:
    """One round."""

    copy: PreCopy
    number: int
    pages: PageSet
    blank: PageSet
    """Zeros, told before the others."""
    _began: float = field(factory=monotonic)
    _waiting: int = 0
    _done: int = 0
    _bytes: int = 0
    _debt: float = 0.0
    _last_ns: int = field(factory=monotonic_ns)

    async def run(self) -> None:
        rest, slice_pages = self.pages, self._slice_pages()
        self._tell()
        if len(self.blank):
            self.copy.relay.send_blank(self.blank, self.copy.encoder)
            self._note(await self.copy.next_tally())
            self._last_ns = monotonic_ns()
        while len(rest):
            part, rest = rest.split(slice_pages)
            async with stopped(self.copy.vm.hypervisor) if self._is_stopped() else nullcontext():
                await self._send(part)
        while self._waiting:
            await self._one_sent()

    def _slice_pages(self) -> int:
        if self.copy.convergence.stopped:
            return _SLOWED_SLICE_PAGES
        if self.copy.max_mib_s:
            return max(self.copy.max_mib_s * _MIB // _PAGE // _PACES_PER_S, _LEAST_SLICE_PAGES)
        return _SLICE_PAGES

    def _is_stopped(self) -> bool:
        """Spreads the slices during which the VM is stopped evenly over all."""
        self._debt += self.copy.convergence.stopped
        stopped = self._debt >= 1.0
        if stopped:
            self._debt -= 1.0
        return stopped

    async def _send(self, part: PageSet) -> None:
        copy = self.copy
        copy.relay.send_pages(copy.vm.ram, part, copy.encoder, copy.compression.choose(stream=True))
        self._waiting += 1
        ahead = 1 if copy.max_mib_s or copy.convergence.stopped else _AHEAD
        while self._waiting >= ahead:
            await self._one_sent()
        if copy.max_mib_s:
            due = self._bytes / (copy.max_mib_s * _MIB)
            await anyio.sleep(max(self._began + due - monotonic(), 0.0))

    async def _one_sent(self) -> None:
        tally = await self.copy.next_tally()
        self._waiting -= 1
        now = monotonic_ns()
        self.copy.compression.sent(tally, now - self._last_ns)
        self._last_ns = now
        self._note(tally)

    def _note(self, tally: Tally) -> None:
        self._done += tally.pages
        self._bytes += tally.sent_bytes
        self._tell()

    def _tell(self) -> None:
        rate = self._bytes / max(monotonic() - self._began, 1e-3)
        stopped = self.copy.convergence.stopped
        pages = len(self.pages) + len(self.blank)
        self.copy.tell(Copied(self.number, pages, self._done, self._bytes, rate, stopped))
