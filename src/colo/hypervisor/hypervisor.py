"""One VM's QEMU, as the agent sees it."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import attrs

from colo.errors import QemuError
from colo.hypervisor import running
from colo.hypervisor.inventory import Inventory, objections, take_inventory
from colo.hypervisor.launch import Launched, launch, nic_path
from colo.hypervisor.loading import StateLoader
from colo.hypervisor.probe import QemuProgram, choose_accel, probe
from colo.hypervisor.qmp import Qmp
from colo.hypervisor.saving import StateSaver
from colo.hypervisor.sockets import connect
from colo.hypervisor.uffd import take_uffd

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from anyio.abc import TaskGroup

    from colo.config import VmConfig
    from colo.hypervisor.qmp_events import QemuEvent
    from colo.hypervisor.uffd import UffdSource

_START_S = 10.0
_START_S_PER_GIB = 2.0
_UFFD_S = 5.0


@attrs.frozen
class Hooks:
    """What is called meanwhile."""

    on_event: Callable[[QemuEvent], None] = lambda _: None
    """With every event of QEMU's."""
    on_memory: Callable[[int], None] = lambda _: None
    """Once, with the descriptor of the RAM as soon as that is there, while QEMU still starts."""


@attrs.define(eq=False)
class Hypervisor:
    """A running QEMU with one VM in it.

    Made by `start`, ended by `quit` or `kill`, which also remove everything from the run folder. A death in
    between sets `died`; `kill` then cleans up. If neither is called, QEMU goes on without us, and the next
    `start` in the same run folder ends it.
    """

    program: QemuProgram
    accel: str
    uffd: int | None
    """The userfaultfd of QEMU's memory. Ours to close, like `ram_fd`: valid until the end."""
    why_no_uffd: str
    _run_dir: Path
    _sockets: tuple[int, ...]
    _launched: Launched
    _qmp: Qmp
    _saver: StateSaver
    _loader: StateLoader
    _undo: ExitStack

    @classmethod
    async def start(
        cls,
        vm: VmConfig,
        run_dir: Path,
        tasks: TaskGroup,
        *,
        timeout_ms: int,
        program: QemuProgram | None = None,
        taps: Mapping[int, int] | None = None,
        uffd_source: UffdSource | None = None,
        hooks: Hooks | None = None,
    ) -> Hypervisor:
        """Start QEMU with the VM stopped, ready for saves and loads.

        `timeout_ms` is the deadline of each QMP command; `program` is what `probe` said of QEMU before, which
        is asked otherwise; `taps` are the descriptors of the cards with offloads, by number, which QEMU
        inherits; `tasks` gets the task that watches the process; without `uffd_source` (normally
        `colo._core`) there is no userfaultfd. Raises `QemuError`, and `StateFolderError` when there is no
        room; nothing is left behind then.
        """
        hooks = hooks or Hooks()
        program = program or await probe(vm.qemu)
        accel = choose_accel(vm.accel, program)
        shim = uffd_source.uffd_shim() if uffd_source else None
        with ExitStack() as undo:
            launched = await anyio.to_thread.run_sync(
                launch, vm, run_dir, program, accel, shim, taps or {}, undo
            )
            tasks.start_soon(launched.process.watch)
            qmp = _session(launched, timeout_ms / 1000, hooks.on_event)
            try:
                hooks.on_memory(launched.scratch.ram_fd)
                uffd, why_no_uffd = await _uffd(uffd_source, launched, undo)
                await qmp.connect(launched.control, _START_S + _START_S_PER_GIB * vm.memory_mib / 1024)
                _check_version(program, qmp)
                launched.scratch.forget_ram()
                saver, loader = StateSaver(qmp), StateLoader(qmp, launched.scratch.folder)
                await saver.prepare()
            except BaseException:
                await launched.process.kill("the start failed")
                await qmp.close()
                raise
            rest = undo.pop_all()
        sockets = tuple(number for number, nic in enumerate(vm.nic) if not nic.has_offloads)
        return cls(program, accel, uffd, why_no_uffd, run_dir, sockets, launched, qmp, saver, loader, rest)

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._launched.process.pid

    @property
    def ram_fd(self) -> int:
        """The file that is the guest's RAM, already unlinked."""
        return self._launched.scratch.ram_fd

    @property
    def version(self) -> str:
        """QEMU's version: `7.2.22`."""
        return self.program.version_text

    @property
    def died(self) -> anyio.Event:
        """Set when the process is gone, for whatever reason."""
        return self._launched.process.died

    @property
    def why_died(self) -> str:
        """The reason, once `died` is set: how it ended, who killed it, what it said last."""
        return self._launched.process.reason

    def connect_nics(self) -> dict[int, socket.socket]:
        """Connect to every network card without offloads: frames with a 4-byte big-endian length before each.

        The caller closes them. A card takes one connection at a time. While a guest cannot take frames (not
        booted, or stopped) QEMU reads one, and then neither more nor the end of the connection.
        """
        with ExitStack() as undo:
            connected = {i: undo.enter_context(connect(nic_path(self._run_dir, i))) for i in self._sockets}
            undo.pop_all()
        return connected

    async def inventory(self) -> Inventory:
        """What QEMU made of the VM's description."""
        return await take_inventory(self._qmp)

    async def objections(self) -> tuple[str, ...]:
        """What of it no checkpoint can carry, a sentence each."""
        return await objections(self._qmp)

    async def boot(self) -> None:
        """Let the VM run for the first time."""
        await self.cont()

    def go_on_when_saved(self) -> None:
        """After `begin_save`: let the guest run on as soon as it is saved. `cont` waits for that."""
        self._saver.go_on_when_saved()

    async def cont(self) -> float:
        """Let the guest run on; the moment (`time.monotonic`) from which it does."""
        moment = await self._saver.cont()
        self._loader.ran = True
        return moment

    async def stop(self) -> None:
        """Stop the guest at once, with nothing saved."""
        await self._saver.stop()

    async def get_ready(self) -> None:
        """Have QEMU prepare the next save while the guest runs, as far as to its stop (primary)."""
        await self._saver.get_ready()

    async def stand_down(self) -> None:
        """The save that QEMU is ready for will not come."""
        await self._saver.stand_down()

    async def begin_save(self) -> float:
        """Begin to save the device state (primary): the guest runs on while QEMU prepares, and then stops.

        Returns the moment (`time.monotonic`) at which it stopped; from now on its RAM stays as it is.
        """
        await self._loader.put_away()
        return await self._saver.begin()

    async def save(self) -> float:
        """Wait until QEMU has saved the device state of the stopped guest; the moment at which it had."""
        return await self._saver.save()

    async def read_state(self) -> bytes:
        """What was saved, about 0.35 MB; the guest may run already."""
        return await self._saver.read()

    async def stop_clean(self) -> None:
        """Stop the guest so that its RAM may be overwritten (secondary)."""
        await self._saver.settle()
        await self._loader.stop_clean()

    async def load(self, device_state: bytes) -> None:
        """Restore a device state (secondary). The RAM must be in place; afterwards it may need mending."""
        await self._loader.load(device_state)

    async def run_state(self) -> str:
        """QEMU's RunState: `running`, `paused`, `shutdown` and so on."""
        return await running.run_state(self._qmp)

    async def console(self) -> str:
        """What the guest printed on its serial console since the last call, at most the last 64 KiB."""
        return str(await self._qmp.execute("ringbuf-read", {"device": "console", "size": 1 << 16}))

    async def quit(self) -> None:
        """End QEMU: by its own command, or by SIGKILL when it does not obey."""
        with suppress(QemuError):
            await self._qmp.execute("quit")
            with anyio.move_on_after(self._qmp.timeout_s):
                await self.died.wait()
        await self.kill("it did not quit")

    async def kill(self, because: str) -> None:
        """End QEMU at once and for certain, and clean up. Harmless when it is dead already."""
        await self._launched.process.kill(because)
        await self._qmp.close()
        # In a thread: giving gigabytes of guest memory back takes the kernel seconds.
        await anyio.to_thread.run_sync(self._undo.close)


async def _uffd(source: UffdSource | None, launched: Launched, undo: ExitStack) -> tuple[int | None, str]:
    if source is None or launched.uffd_listener is None:
        return None, "it was not asked for"
    try:
        fd = await take_uffd(source, launched.uffd_listener, launched.process, _UFFD_S)
    except OSError as error:
        return None, str(error) or type(error).__name__
    undo.callback(os.close, fd)
    return fd, ""


def _check_version(program: QemuProgram, qmp: Qmp) -> None:
    """What was found of it before counts for no other one."""
    if qmp.version != program.version:
        now = ".".join(map(str, qmp.version))
        raise QemuError(
            f"{program.path} is version {now} now, and was {program.version_text}", "start the agent again"
        )


def _session(launched: Launched, timeout_s: float, on_event: Callable[[QemuEvent], None]) -> Qmp:
    process = launched.process

    async def death() -> str:
        await process.died.wait()
        return process.reason

    qmp = Qmp(timeout_s, on_event, lambda because: process.signal(signal.SIGKILL, because), death)
    process.on_death = qmp.lost
    return qmp
