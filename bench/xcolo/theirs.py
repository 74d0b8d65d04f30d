"""QEMU's own COLO in the laboratory: two QEMUs on two hosts, driven as its document says."""

from __future__ import annotations

import signal
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

import anyio
import anyio.to_thread
from pyroute2 import NetNS

from bench.xcolo import commands, favours
from bench.xcolo.figures import pauses_ms, stands_still_s
from bench.xcolo.monitor import Monitor, monitor
from colo.errors import ColoError
from colo.lab.namespaces import BRIDGE, Network
from colo.lab.pair import HOSTS, topology
from colo.lab.process import HostProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from bench.xcolo.system import Case
    from colo.lab.pair import Guest

_POLL_S = 0.02
_LOOK_S = 0.5
_CHANNEL = "channel"
_ANNOUNCEMENT = {"initial": 50, "max": 550, "rounds": 5, "step": 100}  # QEMU's defaults, ms
_STUCK_S = 10.0
"""A guest that stands still for so long hangs."""
_SYNC_S = 90.0
_PANICS = (b"Kernel panic", b"BUG: ", b"Oops", b"general protection", b"segfault")


class XColo:
    """See System."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.folder = folder
        self.network = Network(topology(link=case.link))
        self._case = case
        self._processes: dict[str, HostProcess] = {}
        self._stack = AsyncExitStack()
        self._began = 0.0
        self._primary: Monitor
        self._secondary: Monitor

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await anyio.to_thread.run_sync(self.network.__enter__)
            stack.push(self.network)
            self._primary = await self._qemu(stack, HOSTS[0], commands.primary)
            self._secondary = await self._qemu(stack, HOSTS[1], commands.secondary)
            await anyio.to_thread.run_sync(self._join, HOSTS[0])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.ended() is None:
                process.signal(signal.SIGKILL)  # one that hangs would not end otherwise
        await self._stack.aclose()

    @property
    def pauses_ms(self) -> list[float]:
        """See System. The migration's own stop comes first."""
        return self._pauses_ms()[1:]

    async def protect(self) -> float:
        """See System."""
        (cpu,) = await self._primary.qmp.execute("query-cpus-fast")
        favours.keep_from_deadlock(self._processes[HOSTS[0]].pid, cpu["thread-id"])
        for side in (self._primary, self._secondary):
            for command, arguments in commands.settings(self._case.period_ms):
                await side.qmp.execute(command, arguments)
        channel = {"uri": f"fd:{_CHANNEL}"}
        ends = await anyio.to_thread.run_sync(favours.channel, self.network)
        for side, end in zip((self._primary, self._secondary), ends, strict=True):
            with end:
                await side.qmp.send_fd(_CHANNEL, end.fileno())
        await self._secondary.qmp.execute("migrate-incoming", channel)
        self._began = time.monotonic()
        for description in commands.primary_objects():
            await self._primary.qmp.execute("object-add", description)
        await self._primary.qmp.execute("migrate", channel)
        with anyio.fail_after(_SYNC_S):
            while not self._pauses_ms():
                await anyio.sleep(_POLL_S)
                self._look()
        return self._primary.moments[-1].at - self._began

    @property
    def checkpoints(self) -> int:
        """See System."""
        return len(self.pauses_ms)

    async def work(self, seconds: float) -> None:
        """See System."""
        await self.watch(seconds)

    async def watch(self, seconds: float) -> None:
        """See System. The monitor's events come anyway."""
        end = time.monotonic() + seconds
        while time.monotonic() < end or stands_still_s(self._primary.moments, time.monotonic()):
            await anyio.sleep(_LOOK_S)
            self._look()

    async def lose_primary(self) -> None:
        """See System. Its tap joins the bridge now."""
        self._processes[HOSTS[0]].signal(signal.SIGKILL)
        await self._secondary.qmp.execute("x-colo-lost-heartbeat")
        for name in ("out", "in"):
            await self._secondary.qmp.execute("object-del", {"id": name})
        await anyio.to_thread.run_sync(self._join, HOSTS[1])
        await self._secondary.qmp.execute("announce-self", _ANNOUNCEMENT)

    async def _qemu(
        self, stack: AsyncExitStack, host: str, command: Callable[[Guest, int, Path], tuple[str, ...]]
    ) -> Monitor:
        memory_kib = self._case.memory_mib * 1024 + (commands.ODD_KIB if self._case.odd else 0)
        argv = command(self._case.guest, memory_kib, self.folder)
        process = stack.enter_context(HostProcess(self.network, host, argv, self.folder / f"{host}.log"))
        self._processes[host] = process
        return await stack.enter_async_context(monitor(process, self.folder / f"{command.__name__}.qmp"))

    def _join(self, host: str) -> None:
        with NetNS(self.network.path(host)) as space:
            (tap,), (bridge,) = space.link_lookup(ifname=commands.TAP), space.link_lookup(ifname=BRIDGE)
            space.link("set", index=tap, master=bridge, state="up")

    def _pauses_ms(self) -> list[float]:
        return pauses_ms(self._primary.moments, self._began)

    def _look(self) -> None:
        """Raises ColoError with what is wrong."""
        for host, process in self._processes.items():
            if process.ended() is not None:
                raise ColoError(f"QEMU of {host} ended with status {process.ended()}", "")
        for side in ("primary", "secondary"):
            console = (self.folder / f"{side}.console").read_bytes()
            if any(sign in console for sign in _PANICS):
                raise ColoError(f"the {side}'s guest crashed", "")
        if stands_still_s(self._primary.moments, time.monotonic()) > _STUCK_S:
            raise ColoError("the primary hangs in a checkpoint", "")
