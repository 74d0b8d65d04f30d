from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from click.testing import CliRunner, Result

from colo.api.endpoint import claim_run_dir
from colo.api.server import serve
from colo.api.service import (
    AgentEvent,
    CheckpointReport,
    Checkpoints,
    Divergence,
    Divergences,
    Measured,
    Phase,
    Progress,
    Status,
    Why,
)
from colo.cli import main
from colo.pki import create_authority, issue_node

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

TOML = """
[agent]
node = "alpha"
peer_node = "beta"
run_dir = "run"
state_dir = "state"
listen = "127.0.0.1:7700"
peer = "127.0.0.1:7701"
[tls]
ca = "ca.pem"
cert = "alpha.pem"
key = "alpha.key"
[witness]
address = "127.0.0.1:1"
[vm]
name = "web"
memory_mib = 64
[[vm.nic]]
mac = "52:54:00:c0:10:01"
uplink = { unix = "uplink.sock" }
"""


class PlayedAgent:
    """Says what a test tells it to."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.steps = [Progress("pre-copy", "", 1, 10, 20), Progress("protected", "checkpoint 1 is committed")]
        self.stopped = False

    def _maybe_fail(self) -> None:
        if self.fails:
            raise self.fails

    async def status(self) -> Status:
        self._maybe_fail()
        phases = {"save": Phase(3, 6.3, 2.75)}
        taken = Checkpoints(3, {"period": 2, "mismatch": 1}, {"stop": 0.5}, 8.25, phases=phases)
        return Status(
            node="alpha",
            vm="web",
            role="primary",
            state="protected",
            mode="lockstep",
            epoch=4,
            token=9,
            why="all is well",
            peer="beta",
            uptime_s=61.0,
            checkpoints=taken,
            traffic={"frames_in": 5, "flows": 0},
            divergences={"stream": 1, "end": 0, "missing": 2},
        )

    async def divergences(self) -> Divergences:
        self._maybe_fail()
        flow = "tcp 10.0.0.2:80 > 10.0.0.9:4312"
        detail = "offset 9: primary 31, secondary 32"
        return Divergences(
            {"stream": 1, "end": 0, "missing": 2},
            (
                Divergence(1, 1_500_000_000, 4, 0, flow, "stream", 9, "31", "32", 7.25, detail),
                Divergence(2, 2_000_000_000, 5, 0, flow, "missing", None, "", "", 100.0, "no SYN"),
                Divergence(3, 2_500_000_000, 6, 1, flow, "missing", 10, "33", "", 100.0, "not these 1 bytes"),
            ),
        )

    async def why(self) -> Why:
        self._maybe_fail()
        figures = (
            Measured("time in forced checkpoints", 12.5, 50, 25, "%"),
            Measured("time that agreement takes", 6.3, 500, 250, "ms"),
        )
        return Why(
            "lockstep", 61.5, "the copies agree", "epochs, at a limit", 2, None, 500, "500 ms after", figures
        )

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        yield AgentEvent(1_500_000_000, "divergence", "answers differ", {"offset": 7})

    async def protect(self) -> AsyncGenerator[Progress, None]:
        for step in self.steps:
            yield step
        self._maybe_fail()

    async def checkpoint(self) -> CheckpointReport:
        self._maybe_fail()
        return CheckpointReport(4, "operator", 120, 700_000, 8.5, {"stop": 0.4, "save": 6.0})

    async def failover(self) -> str:
        self._maybe_fail()
        return "beta runs the VM"

    async def shutdown(self) -> None:
        self.stopped = True


@pytest.fixture
def colo() -> Callable[..., Result]:
    def run(*arguments: object, **more: object) -> Result:
        return CliRunner().invoke(main, [str(a) for a in arguments], **more)  # type: ignore[arg-type]

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file beside its certificates."""
    create_authority(tmp_path)
    for node in ("alpha", "witness"):
        issue_node(tmp_path, node)
    file = tmp_path / "alpha.toml"
    file.write_text(TOML)
    return file


@pytest.fixture
def agent(config: Path) -> Iterator[PlayedAgent]:
    """An agent that runs, in a thread of its own."""
    played = PlayedAgent()

    async def run(*, task_status: anyio.abc.TaskStatus[anyio.CancelScope]) -> None:
        with claim_run_dir(config.parent / "run") as sock, anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                await tasks.start(serve, played, sock)
                task_status.started(scope)

    with start_blocking_portal() as portal:
        future, scope = portal.start_task(run)
        yield played
        portal.call(scope.cancel)
        future.result(timeout=10)
