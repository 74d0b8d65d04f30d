"""Takes the device state out of a running QEMU, and puts one into another, again and again.

Guest RAM stays where it is (a shared mapping, skipped by the capability x-ignore-shared); `snapshot-save`
writes the rest into a small qcow2 image, `snapshot-load` reads it. The RAM must be in place BEFORE a load,
since virtio devices read their rings while they load. The images are unlinked as soon as QEMU has them
open.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from colo.errors import QemuError, StateFolderError
from colo.hypervisor import image
from colo.hypervisor.errors import QmpRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from colo.hypervisor.qmp import Qmp
    from colo.hypervisor.spans import Spans

_TAG = "colo"
_NO_TAG = "none"
_NODE = "vmstate"
_EMPTY_NODE = "vmstate-empty"
_DISK_BYTES = 1 << 16
_CLUSTER_BYTES = 512 << 10
"""Fewer allocations than with the usual 64 KiB: 4.0 ms instead of 8.3 ms for a save."""
_NEEDS_RESET = frozenset({"shutdown", "internal-error", "guest-panicked"})
_NEVER_RAN = "prelaunch"
_STOPPED_CLEAN = "restore-vm"


@attrs.define(eq=False)
class DeviceState:
    """The device state of one QEMU. `prepare` first, once; `folder` is a private one in memory."""

    _qmp: Qmp
    _folder: Path
    _spans: Spans
    _template: bytes = b""
    _attached: int = -1
    _ran: bool = False
    _jobs: int = 0

    async def prepare(self) -> None:
        """Set QEMU up for saves and loads. Raises `QemuError` with what QEMU says cannot be carried."""
        await self._qmp.execute(
            "migrate-set-capabilities", {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
        )
        blocked = (await self._qmp.execute("query-migrate")).get("blocked-reasons", [])
        if blocked:
            raise QemuError(
                f"QEMU cannot carry the state of this VM: {'; '.join(blocked)}",
                "remove the device from vm.extra",
            )
        self._template = await self._make_template()
        os.close(await self._add(_EMPTY_NODE, self._template))

    async def run_state(self) -> str:
        """`running`, `paused`, `prelaunch`, `restore-vm`, `shutdown` and so on (QAPI: RunState)."""
        status = await self._qmp.execute("query-status")
        return str(status["status"])

    async def cont(self) -> None:
        """Let the guest run."""
        with self._spans("resume"):
            await self._qmp.execute("cont")
        self._ran = True

    async def stop(self) -> None:
        """Pause the guest; I/O in flight is finished first."""
        with self._spans("stop"):
            await self._qmp.execute("stop")

    async def attach(self) -> None:
        """Give QEMU an empty image for the next `save`; does not disturb a running guest."""
        with self._spans("attach"):
            await self._attach(self._template)

    async def save(self) -> None:
        """Write the device state of the stopped guest into the attached image."""
        with self._spans("save"):
            await self._job("snapshot-save", _NODE, _TAG)

    async def detach_and_read(self) -> bytes:
        """Take the image away from QEMU and give its contents; does not disturb a running guest."""
        with self._spans("read"):
            try:
                await self._qmp.execute("blockdev-del", {"node-name": _NODE})
                return image.pack(self._attached)
            finally:
                self._forget_image()

    async def stop_clean(self) -> None:
        """Stop the guest so that its RAM may be overwritten.

        A load that cannot succeed stops the CPUs and drops the code translated from the old RAM, which QEMU
        >= 10.2 under TCG would go on to execute; it leaves run state `restore-vm`. It drops nothing when
        the guest does not run, so a guest that ran before is made to run for the moment.
        """
        with self._spans("stop"):
            if await self._reset_if_needed() == _NEVER_RAN and not self._ran:
                return
            try:
                await self._job("snapshot-load", _EMPTY_NODE, _NO_TAG)
            except QmpRefusedError:
                state = await self.run_state()
            else:
                state = "loaded from an empty image"
            if state != _STOPPED_CLEAN:
                raise QemuError(
                    f"the stopped VM is in run state {state}, not {_STOPPED_CLEAN}",
                    "this is a bug: report it",
                )

    async def load(self, packed: bytes) -> None:
        """Restore the device state that `detach_and_read` gave, into a guest stopped by `stop_clean`.

        QEMU resets the machine first. After an error this QEMU is of no use any more.
        """
        with self._spans("load"):
            await self._attach(packed)
            try:
                await self._job("snapshot-load", _NODE, _TAG)
                await self._qmp.execute("blockdev-del", {"node-name": _NODE})
            finally:
                self._forget_image()

    async def _reset_if_needed(self) -> str:
        """Bring a guest that ended (powered off, panicked) to where QEMU lets it run again."""
        state = await self.run_state()
        if state in _NEEDS_RESET:
            await self._qmp.execute_until("system_reset", None, lambda event: event.name == "RESET")
            state = await self.run_state()
        if self._ran and state != "running":
            await self._qmp.execute("cont")
            state = await self.run_state()
        return state

    async def _job(self, command: str, node: str, tag: str) -> None:
        self._jobs += 1
        await self._qmp.job(command, f"colo-{self._jobs}", {"tag": tag, "vmstate": node, "devices": [node]})

    async def _attach(self, contents: bytes) -> None:
        if self._attached >= 0:  # left by a checkpoint that was given up
            with suppress(QmpRefusedError):
                await self._qmp.execute("blockdev-del", {"node-name": _NODE})
            self._forget_image()
        self._attached = await self._add(_NODE, contents)

    def _forget_image(self) -> None:
        if self._attached >= 0:
            os.close(self._attached)
        self._attached = -1

    async def _add(self, node: str, contents: bytes) -> int:
        """Hand QEMU an image that nobody else can open; our descriptor of it."""
        path = self._folder / node
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _unpack(contents, fd)
            await self._qmp.execute(
                "blockdev-add", {"driver": "qcow2", "node-name": node, "file": _file(path)}
            )
        except BaseException:
            os.close(fd)
            raise
        finally:
            path.unlink()
        return fd

    async def _make_template(self) -> bytes:
        """An empty qcow2 image, made by QEMU itself: no other program is needed."""
        path = self._folder / "template"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            await self._qmp.execute("blockdev-add", {"node-name": "template", **_file(path)})
            options = {
                "driver": "qcow2",
                "file": "template",
                "size": _DISK_BYTES,
                "cluster-size": _CLUSTER_BYTES,
            }
            await self._qmp.job("blockdev-create", "colo-template", {"options": options})
            await self._qmp.execute("blockdev-del", {"node-name": "template"})
            return image.pack(fd)
        finally:
            os.close(fd)
            path.unlink()


def _unpack(contents: bytes, fd: int) -> None:
    try:
        image.unpack(contents, fd)
    except ValueError as error:
        raise QemuError(f"the device state to load is damaged: {error}", "take a new checkpoint") from error
    except OSError as error:
        raise StateFolderError(
            f"no room for the device state: {error.strerror}", "free memory on this host"
        ) from error


def _file(path: Path) -> dict[str, Any]:
    return {"driver": "file", "filename": str(path)}
