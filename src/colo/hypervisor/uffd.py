"""Where the userfaultfd for dirty tracking comes from: a shim that QEMU is started with hands it to us."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from colo.hypervisor.process import QemuProcess

SHIM_NAME = "uffd-shim.so"


class UffdSource(Protocol):
    """The two calls of `colo._core` that this needs; the module itself is one."""

    def uffd_shim(self) -> bytes:
        """Give the shared object to preload."""

    def receive_uffd(self, fd: int, timeout_ms: int) -> tuple[int, int]:
        """Take the userfaultfd from an accepted connection: its descriptor, the sender's pid.

        Raises `OSError`.
        """


def environment(shim: Path, listening: Path) -> dict[str, str]:
    """What makes QEMU load the shim, and the shim find us."""
    return {"LD_PRELOAD": str(shim), "COLO_UFFD_SOCK": str(listening)}


async def take_uffd(
    source: UffdSource, listener: socket.socket, process: QemuProcess, timeout_s: float
) -> int:
    """Take the userfaultfd of `process`.

    Raises `OSError` with the reason when there is none: not allowed here, no answer in time
    (`TimeoutError`), another sender. The end of the process ends the wait too.
    """
    with anyio.fail_after(timeout_s):
        await _readable_or_dead(listener, process)
    connection, _ = listener.accept()  # BlockingIOError, an OSError, when the process died first
    with connection:
        timeout_ms = int(timeout_s * 1000)
        fd, sender = await anyio.to_thread.run_sync(source.receive_uffd, connection.fileno(), timeout_ms)
    if sender != process.pid:
        os.close(fd)
        raise OSError(
            f"it came from process {sender}, not from QEMU ({process.pid}): vm.qemu must exec QEMU itself"
        )
    return fd


async def _readable_or_dead(listener: socket.socket, process: QemuProcess) -> None:
    async with anyio.create_task_group() as race:

        async def end_with_process() -> None:
            await process.died.wait()
            race.cancel_scope.cancel()

        race.start_soon(end_with_process)
        await anyio.wait_readable(listener)
        race.cancel_scope.cancel()
