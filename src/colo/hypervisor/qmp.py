"""QMP with deadlines, on top of `qmp_wire`: every command has one, and waiting for an event ends when QEMU
does.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from colo.hypervisor.errors import QemuDiedError, QmpRefusedError, QmpTimeoutError
from colo.hypervisor.qmp_events import QemuEvent, Watch
from colo.hypervisor.qmp_wire import Command, ErrorReply, Wire, WireLostError

if TYPE_CHECKING:
    import socket
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Mapping

_GRACE_S = 0.5
"""How long a command may still take after a yank has freed what blocked it."""
_EOF_S = 1.0
_PIPE_BYTES = 1 << 20
_OURSELVES = {"type": "chardev", "id": "qmp"}


@attrs.define(eq=False)
class Qmp:
    """A QMP session.

    `give_up` is called with the reason when QEMU missed a deadline, and must end the process: nobody knows
    what it did.
    """

    timeout_s: float
    on_event: Callable[[QemuEvent], None]
    give_up: Callable[[str], None]
    death: Callable[[], Awaitable[str]]
    """Gives the reason of QEMU's death, once it is dead."""
    _wire: Wire = attrs.field(init=False)
    _watches: list[Watch] = attrs.field(factory=list)
    _lost: bool = False

    def __attrs_post_init__(self) -> None:
        self._wire = Wire(lambda message: self._event(QemuEvent.read(message)))

    async def connect(self, connected: socket.socket, timeout_s: float) -> None:
        """Begin the session on a connected socket.

        QEMU may still be starting; the kernel keeps the connection for it.
        """
        try:
            with anyio.fail_after(timeout_s):
                await self._wire.connect(connected)
        except TimeoutError as error:
            raise self._late("the greeting", timeout_s) from error
        except WireLostError as error:
            raise await self._ended() from error

    @property
    def version(self) -> tuple[int, int, int]:
        """QEMU's, as it says at the beginning of a session (QAPI: VersionInfo)."""
        return self._wire.version

    async def execute(
        self, command: str, arguments: Mapping[str, object] | None = None, timeout_s: float | None = None
    ) -> Any:  # noqa: ANN401 - the type is the command's
        """Run one command and give what it returns.

        Raises `QmpRefusedError` for QEMU's own error, `QemuDiedError`, and `QmpTimeoutError` after which
        QEMU is dead.
        """
        (reply,) = await self._send(Command(command, arguments))
        return await self._answer(command, reply, timeout_s)

    def watch(self, seen: Callable[[QemuEvent], bool]) -> Watch:
        """Look out for an event from now on, until it came or `Watch.close`."""
        watch = Watch(self, seen)
        self._watches.append(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        """Nobody looks out for that event any more."""
        if watch in self._watches:
            self._watches.remove(watch)

    async def until(self, happened: anyio.Event, what: str) -> None:
        """Wait for something that QEMU has to do; `what` names it. Raises like `execute`."""
        try:
            if not happened.is_set():
                with anyio.fail_after(self.timeout_s):
                    await happened.wait()
        except TimeoutError as error:
            raise self._late(what, self.timeout_s) from error
        if self._lost:
            raise await self._ended()

    async def execute_into_pipe(self, name: str, command: str, arguments: Mapping[str, object]) -> int:
        """Run a command that writes into a new pipe, `fd:name` in its arguments; our reading end.

        The pipe takes 1 MiB before QEMU has to wait, where the kernel allows that to everyone.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            with suppress(PermissionError):  # pipe(7), pipe-max-size: then it is smaller, which is slower
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            commands = Command("getfd", {"fdname": name}), Command(command, arguments)
            taken, begun = await self._send(*commands, fds=(writer,))
            await self._answer("getfd", taken)
            await self._answer(command, begun)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader

    async def send_fd(self, name: str, fd: int) -> None:
        """Give QEMU a descriptor, as `fd:name` for its commands; ours stays ours to close."""
        (taken,) = await self._send(Command("getfd", {"fdname": name}), fds=(fd,))
        await self._answer("getfd", taken)

    async def _send(self, *commands: Command, fds: tuple[int, ...] = ()) -> list[Future[Any]]:
        try:
            return self._wire.send(commands, fds)
        except WireLostError as error:
            raise await self._ended() from error

    async def _answer(self, command: str, reply: Future[Any], timeout_s: float | None = None) -> Any:  # noqa: ANN401
        limit = self.timeout_s if timeout_s is None else timeout_s
        try:
            done, _ = await asyncio.wait({reply}, timeout=limit)
            if not done and await self._yank():
                done, _ = await asyncio.wait({reply}, timeout=_GRACE_S)
            if not done:
                raise self._late(command, limit)
            return reply.result()
        except ErrorReply as error:
            raise QmpRefusedError(command, str(error)) from error
        except WireLostError as error:
            raise await self._ended() from error
        finally:
            reply.cancel()

    async def job(self, command: str, job_id: str, arguments: Mapping[str, object]) -> None:
        """Run a command that starts a job, to the job's end. A job that fails raises `QmpRefusedError`."""

        def concluded(event: QemuEvent) -> bool:
            return event.name == "JOB_STATUS_CHANGE" and event.data == {"id": job_id, "status": "concluded"}

        with self.watch(concluded) as end:
            await self.execute(command, {"job-id": job_id, **arguments})
            await end.wait(f"{command} to end")
        jobs = await self.execute("query-jobs")
        error = next((job.get("error") for job in jobs if job["id"] == job_id), None)
        await self.execute("job-dismiss", {"id": job_id})
        if error is not None:
            raise QmpRefusedError(command, error)

    def lost(self) -> None:
        """QEMU is dead: nobody waits for its events any more."""
        self._lost = True
        for watch in self._watches:
            watch.happened.set()

    def close(self) -> None:
        """End the session. What went wrong in it has been told to whom it concerned."""
        self._wire.close()

    def _event(self, event: QemuEvent) -> None:
        for watch in tuple(self._watches):
            watch.note(event)
        self.on_event(event)

    async def _yank(self) -> bool:
        """Cut connections that may block QEMU (a storage server that is gone); False if there are none.

        Out of band: answered by QEMU's monitor thread while its main loop is stuck.
        """
        with anyio.move_on_after(_GRACE_S), suppress(WireLostError, ErrorReply):
            instances = await self._wire.send([Command("query-yank", oob=True)])[0]
            ours = [instance for instance in instances if instance != _OURSELVES]
            if ours:
                await self._wire.send([Command("yank", {"instances": ours}, oob=True)])[0]
                return True
        return False

    def _late(self, what: str, limit: float) -> QmpTimeoutError:
        reason = f"no answer to {what} within {limit * 1000:.0f} ms"
        self.give_up(reason)
        return QmpTimeoutError(
            f"QEMU gave {reason}; it was killed", "is the host overloaded, or its storage stuck?"
        )

    async def _ended(self) -> QemuDiedError:
        """The session ended without our doing: QEMU is dead or about to be; if it is not, it will be."""
        with anyio.move_on_after(_EOF_S):
            return QemuDiedError(await self.death())
        self.give_up("it closed its control socket")
        return QemuDiedError(await self.death())
