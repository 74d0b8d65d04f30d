"""Against a scripted monitor, for what a real QEMU does not do on request: block, lie, hang up."""

from __future__ import annotations

import json
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import pytest

from colo.hypervisor import QemuDiedError, QmpRefusedError, QmpTimeoutError
from colo.hypervisor.qmp import Qmp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Answer = Callable[[dict[str, Any]], list[dict[str, Any]] | None]

pytestmark = pytest.mark.anyio
_GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}}, "capabilities": ["oob"]}}


class Monitor:
    """Answers each message with what `answer` gives: lines, or None to hang up."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.killed: list[str] = []
        self.dead = anyio.Event()

    def kill(self, because: str) -> None:
        self.killed.append(because)
        self.dead.set()

    async def death(self) -> str:
        await self.dead.wait()
        return "the monitor is dead"

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        lines = _lines(stream)
        await _send(stream, _GREETING)
        async for message in lines:
            if "qmp_capabilities" in message.values():
                await _send(stream, {"return": {}})
                continue
            answers = self.answer(message)
            if answers is None:
                self.dead.set()
                return
            for answer in answers:
                await _send(stream, answer)


async def _send(stream: anyio.abc.SocketStream, message: dict[str, Any]) -> None:
    await stream.send(json.dumps(message).encode() + b"\r\n")


async def _lines(stream: anyio.abc.SocketStream) -> AsyncIterator[dict[str, Any]]:
    pending = b""
    with suppress(anyio.EndOfStream):
        while True:
            pending += await stream.receive()
            decoder = json.JSONDecoder()
            text = pending.decode()
            while text.strip():
                try:
                    message, end = decoder.raw_decode(text.lstrip())
                except ValueError:
                    break
                text = text.lstrip()[end:]
                yield message
            pending = text.encode()


@asynccontextmanager
async def _session(answer: Answer) -> AsyncIterator[tuple[Qmp, Monitor]]:
    monitor = Monitor(answer)
    ours, theirs = socket.socketpair()
    stream = await anyio.abc.SocketStream.from_socket(theirs)

    async def serve() -> None:
        async with stream:
            await monitor.serve(stream)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        qmp = Qmp(0.1, lambda _: None, monitor.kill, monitor.death)
        await qmp.connect(ours, 1)
        yield qmp, monitor
        await qmp.close()
        tasks.cancel_scope.cancel()


def _returns(message: dict[str, Any], value: object) -> list[dict[str, Any]]:
    return [{"return": value, "id": message["id"]}]


async def test_a_value_comes_back() -> None:
    async with _session(lambda message: _returns(message, {"a": 1})) as (qmp, _):
        assert await qmp.execute("query-a") == {"a": 1}


async def test_a_command_that_is_begun_is_sent_before_one_that_waits_for_its_turn() -> None:
    came: list[str] = []

    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        came.append(message["execute"])
        return _returns(message, {"a": len(came)})

    async with _session(answer) as (qmp, _), anyio.create_task_group() as tasks:
        tasks.start_soon(qmp.execute, "stop")
        begun = qmp.begin("cont")
        assert await begun == {"a": 1}
    assert came == ["cont", "stop"]


async def test_an_error_of_a_command_that_was_begun_is_told_as_any_other() -> None:
    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"error": {"class": "GenericError", "desc": "not today"}, "id": message["id"]}]

    async with _session(answer) as (qmp, _):
        with pytest.raises(QmpRefusedError, match="refused cont: not today"):
            await qmp.begin("cont")


async def test_an_error_of_qemus_is_told_with_the_command() -> None:
    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"error": {"class": "GenericError", "desc": "not today"}, "id": message["id"]}]

    async with _session(answer) as (qmp, monitor):
        with pytest.raises(QmpRefusedError, match="refused stop: not today"):
            await qmp.execute("stop")
        assert monitor.killed == []


async def test_silence_ends_at_the_deadline_with_the_end_of_qemu() -> None:
    async with _session(lambda _: []) as (qmp, monitor):
        with pytest.raises(QmpTimeoutError, match="no answer to stop within 100 ms"):
            await qmp.execute("stop")
        assert monitor.killed == ["no answer to stop within 100 ms"]


async def test_a_command_blocked_by_a_storage_server_is_freed_by_a_yank() -> None:
    disk = {"type": "block-node", "node-name": "disk0"}
    blocked: list[dict[str, Any]] = []
    yanked: list[object] = []

    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        if message.get("exec-oob") == "query-yank":
            return _returns(message, [{"type": "chardev", "id": "qmp"}, disk])
        if message.get("exec-oob") == "yank":
            yanked.append(message["arguments"]["instances"])
            return [*_returns(message, {}), *_returns(blocked[0], {})]
        blocked.append(message)
        return []

    async with _session(answer) as (qmp, monitor):
        assert await qmp.execute("stop") == {}
        assert yanked == [[disk]]
        assert monitor.killed == []


async def test_a_hang_up_is_the_death_of_qemu() -> None:
    async with _session(lambda _: None) as (qmp, _):
        with pytest.raises(QemuDiedError, match="the monitor is dead"):
            await qmp.execute("stop")


async def test_a_job_ends_with_its_own_conclusion_and_its_own_error() -> None:
    def concluded(job: str) -> dict[str, Any]:
        return {"event": "JOB_STATUS_CHANGE", "data": {"id": job, "status": "concluded"}, "timestamp": {}}

    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        if message["execute"] == "query-jobs":
            return _returns(
                message, [{"id": "other", "error": "not mine"}, {"id": "mine", "error": "disk full"}]
            )
        if message["execute"] == "snapshot-save":
            return [*_returns(message, {}), concluded("other"), concluded("mine")]
        return _returns(message, {})

    async with _session(answer) as (qmp, _):
        with pytest.raises(QmpRefusedError, match="snapshot-save: disk full"):
            await qmp.job("snapshot-save", "mine", {})


async def test_a_job_that_never_concludes_ends_at_the_deadline() -> None:
    async with _session(lambda message: _returns(message, {})) as (qmp, monitor):
        with pytest.raises(QmpTimeoutError, match="snapshot-save to end"):
            await qmp.job("snapshot-save", "mine", {})
        assert monitor.killed


async def test_waiting_for_an_event_ends_with_qemu() -> None:
    async with _session(lambda message: _returns(message, {})) as (qmp, monitor):
        qmp.timeout_s = 10

        async def die() -> None:
            await anyio.wait_all_tasks_blocked()
            monitor.dead.set()
            qmp.lost()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(die)
            with pytest.raises(QemuDiedError), qmp.watch(lambda _: False) as nothing:
                await nothing.wait("something")


async def test_an_event_that_came_before_anybody_waited_is_not_missed() -> None:
    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        events = [{"event": name, "data": {}, "timestamp": {}} for name in ("STOP", "RESUME", "STOP")]
        return [*events, *_returns(message, {})]

    async with _session(answer) as (qmp, _):
        with qmp.watch(lambda event: event.name == "RESUME") as resume:
            await qmp.execute("stop")
            assert (await resume.wait("resume")).name == "RESUME"
