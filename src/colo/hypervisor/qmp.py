"""QMP with deadlines, on top of `qemu.qmp`.

Three things that the library leaves to its user: every command has a deadline; waiting for an event ends
when QEMU does; and events are handed on as they come, so none pile up. See
https://www.qemu.org/docs/master/interop/qmp-spec.html.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
from qemu.qmp import ExecuteError, QMPError

from colo.hypervisor.errors import QemuDiedError, QmpRefusedError, QmpTimeoutError
from colo.hypervisor.qmp_client import Client
from colo.hypervisor.qmp_events import Forwarder, Watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from colo.hypervisor.qmp_events import QemuEvent

_GRACE_S = 0.5
"""How long a command may still take after a yank has freed what blocked it."""
_EOF_S = 1.0
_OURSELVES = {"type": "chardev", "id": "qmp"}


def set_pipe_size(pipe: int, takes: int) -> None:
    """How much a pipe takes, where the kernel allows that to everyone: it is smaller otherwise (pipe(7),
    pipe-max-size).
    """
    with suppress(PermissionError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, takes)


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
    _client: Client = attrs.field(factory=Client)
    _watches: list[Watch] = attrs.field(factory=list)
    _lost: bool = False

    async def connect(self, connected: socket.socket, timeout_s: float) -> None:
        """Begin the session on a connected socket.

        QEMU may still be starting; the kernel keeps the connection for it.
        """
        self._client.events.event_filter = lambda _: (
            False
        )  # the library's own listener would keep all of them
        self._client.register_listener(Forwarder(self._event))
        try:
            with anyio.fail_after(timeout_s):
                await self._client.connect(connected)
        except TimeoutError as error:
            raise self._late("the greeting", timeout_s) from error
        except (QMPError, OSError, EOFError) as error:
            raise await self._ended() from error

    @property
    def version(self) -> tuple[int, int, int]:
        """QEMU's, as it says at the beginning of a session (QAPI: VersionInfo)."""
        greeting = self._client.greeting
        assert greeting is not None, "connected"
        qemu = cast("Mapping[str, int]", greeting.QMP.version["qemu"])
        return qemu["major"], qemu["minor"], qemu["micro"]

    async def execute(
        self, command: str, arguments: Mapping[str, object] | None = None, timeout_s: float | None = None
    ) -> Any:  # noqa: ANN401 - the type is the command's
        """Run one command and give what it returns.

        Raises `QmpRefusedError` for QEMU's own error, `QemuDiedError`, and `QmpTimeoutError` after which
        QEMU is dead.
        """
        limit = self.timeout_s if timeout_s is None else timeout_s
        return await self._outcome(command, self._client.execute(command, arguments), limit)

    def begin(self, command: str) -> Coroutine[Any, Any, Any]:
        """As `execute`, but the command is on the socket when this returns; the rest is to be awaited."""
        return self._outcome(command, self._client.begin(command), self.timeout_s)

    async def _outcome(self, command: str, answer: Coroutine[Any, Any, object], limit: float) -> Any:  # noqa: ANN401
        reply = asyncio.ensure_future(answer)
        try:
            done, _ = await asyncio.wait({reply}, timeout=limit)
            if not done and await self._yank():
                done, _ = await asyncio.wait({reply}, timeout=_GRACE_S)
            if not done:
                raise self._late(command, limit)
            return reply.result()
        except ExecuteError as error:
            raise QmpRefusedError(command, str(error)) from error
        except QMPError as error:
            raise await self._ended() from error
        finally:
            reply.cancel()

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
            with anyio.fail_after(self.timeout_s):
                await happened.wait()
        except TimeoutError as error:
            raise self._late(what, self.timeout_s) from error
        if self._lost:
            raise await self._ended()

    async def execute_into_pipe(
        self, name: str, command: str, arguments: Mapping[str, object], takes: int
    ) -> int:
        """Run a command that writes into a new pipe, `fd:name` in its arguments; our reading end. QEMU has
        to wait when the pipe has taken so many bytes.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            set_pipe_size(writer, takes)
            await self._pass_fd(writer)
            # In this order, and the second without waiting for the first one's answer.
            await asyncio.gather(self.execute("getfd", {"fdname": name}), self.execute(command, arguments))
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader

    async def send_fd(self, name: str, fd: int) -> None:
        """Give QEMU a descriptor, as `fd:name` for its commands; ours stays ours to close."""
        await self._pass_fd(fd)
        await self.execute("getfd", {"fdname": name})

    async def _pass_fd(self, fd: int) -> None:
        try:
            self._client.send_fd_scm(fd)
        except (QMPError, OSError) as error:
            raise await self._ended() from error

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

    async def close(self) -> None:
        """End the session. What went wrong in it has been told to whom it concerned."""
        with anyio.move_on_after(_EOF_S, shield=True), suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()

    def _event(self, event: QemuEvent) -> None:
        for watch in tuple(self._watches):
            watch.note(event)
        self.on_event(event)

    async def _yank(self) -> bool:
        """Cut connections that may block QEMU (a storage server that is gone); False if there are none.

        Out of band: answered by QEMU's monitor thread while its main loop is stuck.
        """
        with anyio.move_on_after(_GRACE_S), suppress(QMPError):
            instances: Any = await self._client.execute("query-yank", oob=True)
            ours = [instance for instance in instances if instance != _OURSELVES]
            if ours:
                await self._client.execute("yank", {"instances": ours}, oob=True)
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
