"""A real server and a real client over a real socket; only the agent behind it is played."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from colo.api.client import AgentClient
from colo.api.endpoint import SOCKET_NAME, claim_run_dir
from colo.api.server import serve
from colo.api.service import (
    AgentEvent,
    CheckpointReport,
    Checkpoints,
    Divergence,
    Divergences,
    Measured,
    Progress,
    Status,
    Why,
)
from colo.errors import (
    AddressInUseError,
    AgentUnreachableError,
    ColoError,
    LeaseError,
    PeerUnreachableError,
    RefusedError,
    StateFolderError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

STATUS = Status(
    node="alpha",
    vm="web",
    role="primary",
    state="protected",
    mode="lockstep",
    epoch=7,
    token=3,
    why="checkpoint 6 is committed",
    peer="beta",
    uptime_s=12.5,
    checkpoints=Checkpoints(6, {"period": 5, "mismatch": 1}, {"stop": 0.5, "save": 6.25}, 9.0),
    traffic={"released": 100},
    qemu="7.2.22",
)
REPORT = CheckpointReport(8, "operator", 120, 700_000, 8.5, {"stop": 0.4})

DIVERGED = Divergences(
    {"stream": 1, "missing": 1},
    (
        Divergence(1, 5, 7, 0, "tcp a > b", "stream", 3, "00ff", "01", 2.5, "offset 3"),
        Divergence(2, 9, 8, 1, "udp a > b", "missing", None, "", "", 100.0, "no such message"),
    ),
)


WHY = Why("epoch", 4.5, "they differ", "a try", 1, 20, 200, "20 ms", (Measured("time", 62.5, 50, 25, "%"),))


class PlayedAgent:
    """Answers what it is told to; `fails` is raised by every call."""

    def __init__(self) -> None:
        self.fails: BaseException | None = None
        self.stopped = False
        self.stream_closed = anyio.Event()
        self.hangs = False

    async def _answer(self) -> None:
        if self.fails:
            raise self.fails
        if self.hangs:
            await anyio.sleep_forever()

    async def status(self) -> Status:
        await self._answer()
        return STATUS

    async def divergences(self) -> Divergences:
        await self._answer()
        return DIVERGED

    async def why(self) -> Why:
        await self._answer()
        return WHY

    async def protect(self) -> AsyncGenerator[Progress, None]:
        try:
            yield Progress("pre-copy", round=1, done_bytes=1, total_bytes=2)
            await self._answer()
            yield Progress("protected", why="checkpoint 1 is committed")
        finally:
            self.stream_closed.set()

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        try:
            yield AgentEvent(5, "divergence", "answers differ", {"nic": 0, "offset": 1.5, "flow": "tcp"})
            await anyio.sleep_forever()
        finally:
            self.stream_closed.set()

    async def checkpoint(self) -> CheckpointReport:
        await self._answer()
        return REPORT

    async def failover(self) -> str:
        await self._answer()
        return "beta runs the VM"

    async def shutdown(self) -> None:
        self.stopped = True


@pytest.fixture
def agent() -> PlayedAgent:
    return PlayedAgent()


@asynccontextmanager
async def running(agent: PlayedAgent, run_dir: Path) -> AsyncIterator[None]:
    with claim_run_dir(run_dir) as sock:
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve, agent, sock)
            yield
            tasks.cancel_scope.cancel()


async def test_status_comes_back_whole(agent: PlayedAgent, tmp_path: Path) -> None:
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        assert await client.status() == STATUS


async def test_divergences_come_back_whole(agent: PlayedAgent, tmp_path: Path) -> None:
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        assert await client.divergences() == DIVERGED


async def test_why_comes_back_whole(agent: PlayedAgent, tmp_path: Path) -> None:
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        assert await client.why() == WHY


async def test_operations(agent: PlayedAgent, tmp_path: Path) -> None:
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        assert await client.checkpoint() == REPORT
        assert await client.failover() == "beta runs the VM"
        await client.stop()
    assert agent.stopped


async def test_protect_streams_until_protected(agent: PlayedAgent, tmp_path: Path) -> None:
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        phases = [step.phase async for step in client.protect()]
    assert phases == ["pre-copy", "protected"]


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("already protected", "nothing to do"),
        PeerUnreachableError("beta does not answer"),
        LeaseError("no witness", "start it"),
        ColoError("something else"),
    ],
    ids=lambda e: type(e).__name__,
)
async def test_an_error_comes_back_as_what_it_was(
    agent: PlayedAgent, tmp_path: Path, error: ColoError
) -> None:
    agent.fails = error
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        for operation in (client.checkpoint, client.status, client.failover, client.divergences):
            with pytest.raises(ColoError) as caught:
                await operation()
            came = caught.value
            assert (type(came), came.message, came.hint) == (type(error), error.message, error.hint)


async def test_an_error_in_the_middle_of_a_stream_comes_back_too(agent: PlayedAgent, tmp_path: Path) -> None:
    agent.fails = PeerUnreachableError("the link broke", "see beta")
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        steps = client.protect()
        assert (await anext(steps)).phase == "pre-copy"
        with pytest.raises(PeerUnreachableError, match="the link broke"):
            await anext(steps)


async def test_a_bug_of_the_agent_is_an_answer_and_not_its_end(agent: PlayedAgent, tmp_path: Path) -> None:
    agent.fails = ZeroDivisionError("bug")
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        with pytest.raises(ColoError, match="internal error"):
            await client.status()
        agent.fails = None
        assert await client.status() == STATUS


async def test_a_reader_that_leaves_closes_its_stream(agent: PlayedAgent, tmp_path: Path) -> None:
    async with running(agent, tmp_path):
        async with AgentClient(tmp_path) as client, aclosing(client.events()) as events:
            assert (await anext(events)).details == {"nic": 0, "offset": 1.5, "flow": "tcp"}
            assert not agent.stream_closed.is_set()
        with anyio.fail_after(5):
            await agent.stream_closed.wait()


async def test_an_agent_that_ends_does_not_wait_for_readers(agent: PlayedAgent, tmp_path: Path) -> None:
    async with AgentClient(tmp_path) as client:
        with anyio.fail_after(3):
            async with running(agent, tmp_path):
                events = client.events()
                await anext(events)
        assert [e async for e in events] == []
    assert agent.stream_closed.is_set()


async def test_keepalives_are_not_events(
    agent: PlayedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colo.api.ndjson.KEEPALIVE_S", 0.01)
    async with running(agent, tmp_path), AgentClient(tmp_path) as client, aclosing(client.events()) as events:
        await anext(events)
        with anyio.move_on_after(0.1) as waited:
            await anext(events)
        assert waited.cancelled_caught


async def test_no_agent_is_told_with_the_command_to_start_it(tmp_path: Path) -> None:
    async with AgentClient(tmp_path) as client:
        with pytest.raises(AgentUnreachableError) as e:
            await client.status()
    assert "colo agent" in e.value.hint
    assert e.value.exit_code == 4


async def test_an_agent_that_hangs_is_told_after_the_deadline(agent: PlayedAgent, tmp_path: Path) -> None:
    agent.hangs = True
    async with running(agent, tmp_path), AgentClient(tmp_path, deadline_s=0.1) as client:
        with pytest.raises(AgentUnreachableError, match="in time"):
            await client.checkpoint()
        agent.hangs = False


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"\xff", b"null", b"[" * 5000, b'{"node":1}'])
async def test_nonsense_for_an_answer_is_an_error_not_a_crash(tmp_path: Path, answer: bytes) -> None:
    async def talk_nonsense(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(answer)}\r\n\r\n".encode()
            await stream.send(head + answer)

    async with (
        anyio.create_task_group() as tasks,
        await anyio.create_unix_listener(tmp_path / SOCKET_NAME) as ear,
    ):
        tasks.start_soon(ear.serve, talk_nonsense)
        async with AgentClient(tmp_path) as client:
            with pytest.raises(AgentUnreachableError):
                await client.status()
        tasks.cancel_scope.cancel()


async def test_whoever_asks_does_not_read_the_authorities_of_the_web_first(
    agent: PlayedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **_: read.append(args))
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *args, **_: read.append(args))
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        await client.status()
    assert read == []


async def test_the_socket_is_private(agent: PlayedAgent, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    async with running(agent, run_dir):
        assert stat.S_IMODE((run_dir / SOCKET_NAME).stat().st_mode) == 0o600
        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    assert not (run_dir / SOCKET_NAME).exists()


async def test_signal_handlers_of_the_agent_stay(agent: PlayedAgent, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with running(agent, tmp_path), AgentClient(tmp_path) as client:
        await client.status()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        claim_run_dir(tmp_path),
        pytest.raises(AddressInUseError, match=str(os.getpid())),
        claim_run_dir(tmp_path),
    ):
        pass
    with claim_run_dir(tmp_path):
        pass


def test_what_a_killed_agent_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from colo.api.endpoint import claim_run_dir\n"
        "with claim_run_dir(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / SOCKET_NAME).exists()
    with claim_run_dir(tmp_path), socket.socket(socket.AF_UNIX) as client:
        assert client.connect_ex(str(tmp_path / SOCKET_NAME)) == 0


def test_a_run_dir_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateFolderError, match="cannot use the folder"), claim_run_dir(tmp_path / "file"):
        pass


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateFolderError, match="too long"), claim_run_dir(tmp_path / ("x" * 100)):
        pass
