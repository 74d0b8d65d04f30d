"""QEMU as a process: started in a session of its own, watched by pidfd, killed by pidfd."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import attrs

from colo.errors import QemuError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STDERR_BYTES = 8192
_STDERR_LINES = 5
_KILL_DEADLINE_S = 5.0


@attrs.define(eq=False)
class QemuProcess:
    """A running QEMU.

    `watch` should run in a task: it notices the death, and keeps the end of what QEMU says.
    """

    pid: int
    _pidfd: int
    _child: subprocess.Popen[bytes]
    died: anyio.Event = attrs.field(factory=anyio.Event)
    reason: str = ""
    """Why it died: how it ended, who killed it, and what it said last. Set before `died`."""
    on_death: Callable[[], None] = lambda: None
    _killed_because: str = ""
    _said: bytearray = attrs.field(factory=bytearray)

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], fds: Sequence[int]) -> QemuProcess:
        """Start it with `environment` on top of ours; of our descriptors it inherits only `fds`."""
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, **environment},
                pass_fds=fds,
                # So that Ctrl-C at a terminal does not end it. In a session of its own the kernel's scheduler
                # would take it for something else than our relay (docs/decisions/0026).
                process_group=0,
            )
        except OSError as error:
            raise QemuError(f"{command[0]} cannot be started: {error.strerror}", "see vm.qemu") from error
        if child.stderr:
            os.set_blocking(child.stderr.fileno(), False)
        return cls(child.pid, os.pidfd_open(child.pid), child)

    async def watch(self) -> None:
        """Wait for the death of the process, keep the end of what it says, then tell."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            await anyio.wait_readable(self._pidfd)
            tasks.cancel_scope.cancel()
        self._bury()

    def signal(self, number: int, because: str = "") -> None:
        """Send a signal; nothing if it is dead. `because` becomes part of `reason`."""
        self._killed_because = self._killed_because or because
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def kill(self, because: str) -> None:
        """End it for certain (SIGKILL ends a stopped process too), and wait until it is gone."""
        self.signal(signal.SIGKILL, because)
        try:
            with anyio.fail_after(_KILL_DEADLINE_S, shield=True):
                await self._gone()
        except TimeoutError as error:
            raise QemuError(
                f"QEMU (pid {self.pid}) does not end after SIGKILL", "it hangs in the kernel"
            ) from error
        self._bury()

    def kill_now(self) -> None:
        """End it without an event loop, and wait: for a start that failed before it was watched."""
        self.signal(signal.SIGKILL)
        self._bury()

    async def _gone(self) -> None:
        """Wait for the death, without leaning on `watch`, whose task may have been cancelled."""
        if self._pidfd < 0:
            return
        own = os.dup(self._pidfd)  # the event loop takes one waiter for each descriptor
        try:
            await anyio.wait_readable(own)
        finally:
            os.close(own)

    def _bury(self) -> None:
        if self._pidfd < 0:
            return
        os.close(self._pidfd)
        self._pidfd = -1
        self._drain()
        status = self._child.wait()
        if self._child.stderr:
            self._child.stderr.close()
        self.reason = self._describe(status)
        self.died.set()
        self.on_death()

    async def _listen(self) -> None:
        stderr = self._child.stderr
        while stderr:
            await anyio.wait_readable(stderr)
            if not self._drain():
                return

    def _drain(self) -> bool:
        """Read what stderr has, keeping only the end; False at its end.

        Whoever holds the other end cannot block us.
        """
        stderr = self._child.stderr
        with suppress(BlockingIOError):
            while stderr and (piece := os.read(stderr.fileno(), _STDERR_BYTES)):
                self._said += piece
                del self._said[:-_STDERR_BYTES]
            return False
        return True

    def _describe(self, status: int) -> str:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        because = f" ({self._killed_because})" if self._killed_because else ""
        lines = self._said.decode(errors="replace").strip().splitlines()[-_STDERR_LINES:]
        said = "; it said: " + " | ".join(lines) if lines else ""
        return f"QEMU (pid {self.pid}) {how}{because}{said}"
