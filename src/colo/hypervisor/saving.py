"""Takes the device state out of a running QEMU, again and again.

Guest RAM stays where it is: a shared mapping, which the capability x-ignore-shared leaves out. `migrate` into
a pipe prepares itself and writes the ROMs while the guest runs, stops the guest, writes the devices, and
leaves a QEMU that can go on (decision 0013). See QEMU's docs/devel/migration/main.rst.

Devices do not write guest RAM while they are saved: in any migration QEMU sends the last RAM before it saves
them. So RAM can be read from the stop on, once no disk writes it any more.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Self

import anyio
import attrs

from colo import _core
from colo.errors import QemuError
from colo.hypervisor import running
from colo.hypervisor.command import FLASH
from colo.hypervisor.errors import QmpRefusedError
from colo.hypervisor.qmp import set_pipe_size
from colo.hypervisor.readiness import Readiness
from colo.hypervisor.vmstate_image import MAX_BYTES

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from colo.hypervisor.qmp import Qmp
    from colo.hypervisor.qmp_events import QemuEvent, Watch

_CAPABILITIES = ("x-ignore-shared", "events")
_PIPE = "colo-state"
_PIPE_BYTES = 1 << 20
_WAITS_AFTER = 8192
"""What QEMU writes first is a list of RAM blocks, about 1 KiB, which it must get rid of at once: 10.0 has its
big lock meanwhile. The firmware follows, which is more than this.
"""
_NOT_YET = "duplicate yank instance"
"""QEMU tells of a migration's end a moment before it has put it away (migrate_fd_cleanup)."""
_COMPLETED = "completed"
_ENDED = frozenset({_COMPLETED, "failed", "cancelled"})
_STOPPED = _ENDED | {"device"}


@attrs.define(eq=False)
class Save:
    """One migration into a pipe: QEMU prepares it, and waits before the stop until `go` lets it."""

    _qmp: Qmp
    _reader: int
    _ended: Watch
    _stopped: Watch | None = None
    _stream: Future[bytes] | None = None

    @classmethod
    async def begin(cls, qmp: Qmp) -> Self:
        """QEMU is preparing. Raises like `Qmp.execute`."""
        ended = qmp.watch(_has_ended)
        deadline = anyio.current_time() + qmp.timeout_s
        try:
            while True:
                try:
                    uri = {"uri": f"fd:{_PIPE}"}
                    return cls(qmp, await qmp.execute_into_pipe(_PIPE, "migrate", uri, _WAITS_AFTER), ended)
                except QmpRefusedError as error:
                    if _NOT_YET not in str(error) or anyio.current_time() > deadline:
                        raise
        except BaseException:
            ended.close()
            raise

    def go(self) -> None:
        """Let QEMU stop the guest. The pipe is read until QEMU closes it, which never has to wait for it."""
        self._stopped = self._qmp.watch(_has_stopped)
        set_pipe_size(self._reader, _PIPE_BYTES)
        self._stream = asyncio.get_running_loop().run_in_executor(None, _read_all, self._reader)

    def give_up(self) -> None:
        """Instead of `go`: QEMU finds nobody there to write to, and the migration ends."""
        os.close(self._reader)

    async def over(self) -> QemuEvent | None:
        """Its end, however long that takes, or QEMU's: None."""
        await self._ended.happened.wait()
        return self._ended.event

    @property
    def is_over(self) -> bool:
        """Well or not."""
        return self._ended.happened.is_set()

    async def stopped(self) -> float:
        """Since when the guest stands still; after `go`."""
        assert self._stopped is not None
        return (await self._stopped.wait("migrate to stop the guest")).at

    async def whole(self) -> float:
        """Since when all is written. Raises `QemuError` when QEMU failed."""
        end = await self._ended.wait("migrate to end")
        if end.data["status"] != _COMPLETED:
            why = (await self._qmp.execute("query-migrate")).get("error-desc", end.data["status"])
            raise QemuError(f"QEMU could not save the state of the VM: {why}", "see QEMU's log")
        return end.at

    async def settled(self) -> None:
        """Over, well or not; a migration that never ends is a matter of the deadline."""
        await self._ended.wait("migrate to end")

    def when_over(self, do: Callable[[], None]) -> None:
        """Calls it once `settled` would return."""
        self._ended.then(do)

    async def stream(self) -> bytes:
        """What was written."""
        assert self._stream is not None
        with anyio.fail_after(self._qmp.timeout_s):
            return await self._stream


@attrs.define(eq=False)
class StateSaver:
    """The primary's side. `prepare` first, once; then for each checkpoint `begin`, `save`, `cont`, `read`."""

    _qmp: Qmp
    _save: Save | None = None
    _reads_disks: bool = False
    _going: Future[float] | None = None
    """QEMU has been told to go on: since when it does."""
    _readiness: Readiness = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._readiness = Readiness(self._qmp, partial(Save.begin, self._qmp))

    async def prepare(self) -> None:
        """Set QEMU up. Raises `QemuError` with what QEMU says cannot be carried."""
        capabilities = [{"capability": name, "state": True} for name in _CAPABILITIES]
        await self._qmp.execute("migrate-set-capabilities", {"capabilities": capabilities})
        blocked = (await self._qmp.execute("query-migrate")).get("blocked-reasons", [])
        if blocked:
            raise QemuError(
                f"QEMU cannot carry the state of this VM: {'; '.join(blocked)}",
                "remove the device from vm.extra",
            )
        nodes = [disk.get("inserted", {}).get("node-name") for disk in await self._qmp.execute("query-block")]
        self._reads_disks = any(node not in FLASH for node in nodes if node is not None)

    async def get_ready(self) -> None:
        """Have QEMU prepare the next save, so that `begin` finds it before the stop of the guest."""
        await self._readiness.get()

    async def stand_down(self) -> None:
        """Nobody will `begin` what was prepared."""
        await self._readiness.lose()

    async def begin(self) -> float:
        """Begin to save. Returns the moment at which the guest stopped, once its RAM stays as it is."""
        await self.settle()
        await self._disarm()
        with anyio.CancelScope(shield=True):  # each command has its deadline
            save = self._save = await self._readiness.take() or await Save.begin(self._qmp)
        save.go()
        moment = await save.stopped()
        if self._reads_disks:
            # QEMU tells of the stop before it has waited for the disks (`do_vm_stop`), which may write RAM.
            await save.settled()
        return moment

    async def save(self) -> float:
        """Wait until the device state is whole; since when it is. Raises `QemuError` when QEMU failed."""
        return await self._current().whole()

    async def settle(self) -> None:
        """Wait for the end of a save that nobody waits for any more: QEMU refuses to go on before it."""
        if self._save is not None:
            await self._save.settled()

    def go_on_when_saved(self) -> None:
        """Let the guest run as soon as its state is saved; `cont` waits for it, and tells what went wrong."""
        self._current().when_over(self._go_on)

    def _go_on(self) -> None:
        self._going = asyncio.ensure_future(running.cont(self._qmp))
        # If nobody asks any more, QEMU is dead, which is told elsewhere.
        self._going.add_done_callback(lambda going: going.cancelled() or going.exception())

    async def cont(self) -> float:
        """Let the guest run, after a save or without one; the moment from which it does."""
        await self.settle()
        if self._going is None:
            self._go_on()
        going, self._going = self._going, None
        assert going is not None
        return await asyncio.shield(going)

    async def stop(self) -> None:
        """Stop the guest at once, with nothing saved, and whatever it was told to do after a save."""
        await self._disarm()
        await self._qmp.execute("stop")

    async def _disarm(self) -> None:
        if self._save is not None:
            self._save.when_over(_nothing)
        going, self._going = self._going, None
        if going is not None:
            await asyncio.wait({going})

    async def read(self) -> bytes:
        """The device state, about 0.35 MB; the guest may run already."""
        save, self._save = self._current(), None
        return await save.stream()

    def _current(self) -> Save:
        if self._save is None:
            raise QemuError("no save of the device state was begun", "this is a bug: report it")
        return self._save


def _nothing() -> None:
    pass


def _has_stopped(event: QemuEvent) -> bool:
    # A guest that was stopped already stops no more.
    return event.name == "STOP" or (event.name == "MIGRATION" and event.data["status"] in _STOPPED)


def _has_ended(event: QemuEvent) -> bool:
    return event.name == "MIGRATION" and event.data["status"] in _ENDED


def _read_all(reader: int) -> bytes:
    """What comes through the pipe, to its end; what is too much is read but not kept."""
    try:
        return _core.read_to_end(reader, MAX_BYTES)
    except ValueError as error:
        raise QemuError(f"the device state is too large: {error}", "remove devices from vm.extra") from error
    finally:
        os.close(reader)
