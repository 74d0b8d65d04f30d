"""Puts a device state into a running QEMU, again and again.

The RAM must be in place BEFORE a load, since virtio devices read their rings while they load. The images
are unlinked as soon as QEMU has them open.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import attrs

from colo.errors import QemuError, StateFolderError
from colo.hypervisor import running
from colo.hypervisor.errors import QmpRefusedError
from colo.hypervisor.vmstate_image import MAX_BYTES, TAG, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colo.hypervisor.qmp import Qmp

_NO_TAG = "none"
_NODE = "vmstate"
_EMPTY_NODE = "vmstate-empty"
_MAGIC = b"QEVM"
"""Of QEMU's migration stream."""
_NEEDS_RESET = frozenset({"shutdown", "internal-error", "guest-panicked"})
_NEVER_RAN = "prelaunch"
_STOPPED_CLEAN = "restore-vm"


@attrs.define(eq=False)
class StateLoader:
    """The secondary's side. `folder` is a private one in memory.

    It has a block node of its own from its first use to `put_away`: what QEMU has of these it writes back and
    gives up at the end of a save, and opens anew before the guest goes on (`bdrv_activate_all`), both while
    the guest stands still.
    """

    _qmp: Qmp
    _folder: Path
    ran: bool = False
    """The guest has run: QEMU may have translated its code."""
    _jobs: int = 0
    _ready: bool = False

    async def put_away(self) -> None:
        """No more loads for now: nothing of them is left in QEMU."""
        if self._ready:
            with anyio.CancelScope(shield=True):  # as in `begin_save`
                await self._qmp.execute("blockdev-del", {"node-name": _EMPTY_NODE})
                self._ready = False

    async def _prepare(self) -> None:
        if not self._ready:
            with anyio.CancelScope(shield=True):
                await self._add(_EMPTY_NODE, b"")
                self._ready = True

    async def stop_clean(self) -> None:
        """Stop the guest so that its RAM may be overwritten.

        A load that cannot succeed stops the CPUs and drops the code translated from the old RAM, which QEMU
        >= 10.2 under TCG would go on to execute; it leaves run state `restore-vm`. It drops nothing when
        the guest does not run, so a guest that ran before is made to run for the moment.
        """
        if await self._reset_if_needed() == _NEVER_RAN and not self.ran:
            return
        await self._prepare()
        try:
            await self._load(_EMPTY_NODE, _NO_TAG)
        except QmpRefusedError:
            state = await running.run_state(self._qmp)
        else:
            state = "loaded from an empty image"
        if state != _STOPPED_CLEAN:
            raise QemuError(
                f"the stopped VM is in run state {state}, not {_STOPPED_CLEAN}",
                "this is a bug: report it",
            )

    async def load(self, stream: bytes) -> None:
        """Restore the device state that `StateSaver.read` gave, into a guest stopped by `stop_clean`.

        QEMU resets the machine first. After an error this QEMU is of no use any more.
        """
        if not stream.startswith(_MAGIC) or len(stream) > MAX_BYTES:
            raise QemuError("the device state to load is damaged", "take a new checkpoint")
        await self._add(_NODE, stream)
        await self._load(_NODE, TAG)
        await self._qmp.execute("blockdev-del", {"node-name": _NODE})

    async def _reset_if_needed(self) -> str:
        """Bring a guest that ended (powered off, panicked) to where QEMU lets it run again."""
        state = await running.run_state(self._qmp)
        if state in _NEEDS_RESET:
            with self._qmp.watch(lambda event: event.name == "RESET") as reset:
                await self._qmp.execute("system_reset")
                await reset.wait("system_reset to take effect")
            state = await running.run_state(self._qmp)
        if self.ran and state != "running":
            await running.cont(self._qmp)
            state = await running.run_state(self._qmp)
        return state

    async def _load(self, node: str, tag: str) -> None:
        self._jobs += 1
        arguments = {"tag": tag, "vmstate": node, "devices": [node]}
        await self._qmp.job("snapshot-load", f"colo-{self._jobs}", arguments)

    async def _add(self, node: str, stream: bytes) -> None:
        """Hand QEMU an image that nobody else can open."""
        path = self._folder / node
        try:
            with _created(path) as fd:
                write_image(fd, stream)
                file = {"driver": "file", "filename": str(path)}
                await self._qmp.execute("blockdev-add", {"driver": "qcow2", "node-name": node, "file": file})
        except OSError as error:
            raise StateFolderError(
                f"no room for the device state: {error.strerror}", "free memory on this host"
            ) from error


@contextmanager
def _created(path: Path) -> Iterator[int]:
    """A new file 0600, which has no name any more at the end."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
        path.unlink()
