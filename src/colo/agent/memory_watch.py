"""Looks how much the VM has written, asks for a checkpoint in time, and slows the VM down where one cannot
come in time (`model.memory_limit` says when).
"""

from __future__ import annotations

from time import thread_time_ns
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import structlog
from attrs import define, field

from colo import _core
from colo.agent.steps import FAILURES
from colo.agent.stopped import stopped
from colo.model.checkpoint.events import Reason, Trigger
from colo.model.memory_limit import MemoryLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from colo.agent.local_vm import LocalVm
    from colo.config import Config
    from colo.model.checkpoint.primary import Primary
    from colo.model.compression import Compression

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_log = structlog.get_logger()


@define(eq=False)
class MemoryWatch:
    """One pairing's. A checkpoint holds it from before the stop to after the resumption: neither is a look
    under way then, which the tracker would wait for, nor has anybody else stopped the VM.
    """

    vm: LocalVm
    limit: MemoryLimit
    in_flight: Callable[[], bool]
    """A checkpoint is under way, and the VM runs."""
    ask: Callable[[Trigger], None]
    slowed: Callable[[float], None]
    """The VM was stopped for so many ms, to write less."""
    _free: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(1))
    _through: anyio.Event = field(factory=anyio.Event)
    _held: bool = False
    _scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    _over: anyio.Event = field(factory=anyio.Event)

    @classmethod
    def of(
        cls,
        config: Config,
        vm: LocalVm,
        machine: Primary,
        now: int,
        ask: Callable[[Trigger], None],
        slowed: Callable[[float], None],
    ) -> MemoryWatch:
        """What a checkpoint holds is to cross the link in half of the time that it may take."""
        early = config.checkpoint.resume == "early"
        deadline_ms = config.timing.checkpoint_timeout_ms if early else config.timing.pause_timeout_ms
        staging_pages = config.checkpoint.max_staging_bytes // _core.PAGE_SIZE
        enough = config.checkpoint.period_bytes // _core.PAGE_SIZE
        limit = MemoryLimit(staging_pages, deadline_ms * _NS_PER_MS // 2, enough, now)
        return cls(vm, limit, lambda: machine.behind, ask, slowed)

    async def run(self) -> None:
        """Until `stop`, or until the tracker fails, which the next checkpoint is told too."""
        try:
            with self._scope:
                while True:
                    due_ns = self.limit.next_look - _core.boottime_ns()
                    if due_ns > 0:
                        await anyio.sleep(due_ns / _NS_PER_S)
                        continue
                    async with self._free:
                        if self.limit.next_look <= _core.boottime_ns():
                            await self._look()
        except FAILURES as error:
            _log.warning("written memory is not watched any more", exc_info=True)
            self.ask(Trigger(Reason.MEMORY, f"written pages cannot be counted: {error}"))
        finally:
            self._over.set()

    def link(self, measured: Compression) -> None:
        """A transfer told how fast the link is."""
        if measured.link_ns is not None:
            self.limit.link(measured.link_ns * _core.PAGE_SIZE)

    async def hold(self) -> None:
        """No look, and no stop by this, until `let_go`."""
        await self._free.acquire()
        self._held = True

    def let_go(self) -> None:
        """Harmless when it is not held."""
        if self._held:
            self._held = False
            self._free.release()

    def through(self) -> None:
        """The checkpoint in flight is: nobody has to be slowed down any more."""
        self._through.set()

    def stop(self) -> None:
        """No more looks. A VM that stands still for this goes on."""
        self._scope.cancel()

    async def over(self) -> None:
        """Waits until the VM is not stopped by this any more; after `stop`."""
        await self._over.wait()

    async def _look(self) -> None:
        pages, took_ns = await anyio.to_thread.run_sync(self._count)
        if self.in_flight():
            self._through = anyio.Event()
        now = _core.boottime_ns()
        verdict = self.limit.looked(pages, took_ns, now, in_flight=self.in_flight())
        if verdict.ask is not None:
            self.ask(verdict.ask)
        if verdict.stop_ns:
            async with stopped(self.vm.hypervisor):
                with anyio.move_on_after(verdict.stop_ns / _NS_PER_S):
                    await self._through.wait()
            self.slowed((_core.boottime_ns() - now) / _NS_PER_MS)

    def _count(self) -> tuple[int, int]:
        """The pages, and the processor time that it took: waiting for a busy processor costs nobody."""
        began = thread_time_ns()
        return self.vm.tracker().count(), thread_time_ns() - began
