"""A host that is stuck, as a whole or only its QEMU, in any phase: the VM runs on, nobody notices."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Literal

import anyio
import pytest
from traffic import more_answers, run

from colo.errors import ColoError
from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.api.client import AgentClient
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]

Part = Literal["qemu", "agent"]
_WRITE = "/patterns?pages=50000&mib=64"
"""As much as the guest can: a phase takes milliseconds then, and is met when its name is asked for."""
_REACH_S = 60.0


@pytest.mark.parametrize(
    ("part", "step", "mode"),
    [
        ("qemu", "running", "lockstep"),
        ("qemu", "storing", "lockstep"),
        ("qemu", "loading", "lockstep"),
        ("agent", "storing", "lockstep"),
        ("agent", "loading", "lockstep"),
        ("qemu", "resting", "epoch"),
        ("agent", "storing", "epoch"),
    ],
)
async def test_a_secondary_that_is_stuck_is_given_up_and_the_vm_answers_on(
    part: Part, step: str, mode: str, tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, Options(checkpoint={"mode": mode}), boot=True) as pair:
        await pair.protected()
        assert (await run(pair, "write", "gets", "--count", "1", "--path", _WRITE, "--any-body")).whole
        counter = pair.client("counter", "counter", "--interval", "0.02")
        await more_answers(counter, 20)
        await _stop(pair, part, step)
        await pair.until("alpha", "degraded")
        await more_answers(counter, 20)
        if part == "agent":
            pair.hosts["beta"].agent.signal(signal.SIGCONT)
        await pair.until("beta", "idle")
        await counter.finish(60)
    assert counter.problem is None


async def test_a_primary_whose_qemu_is_stuck_is_replaced(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, boot=True) as pair:
        await pair.protected()
        counter = pair.client("counter", "counter", "--interval", "0.02")
        await more_answers(counter, 20)
        qemu = pair.hosts["alpha"].qemu
        assert qemu is not None
        qemu.signal(signal.SIGSTOP)
        await pair.until("beta", "degraded")
        await more_answers(counter, 20)
        await pair.until("alpha", "idle")
        await counter.finish(60)
    assert counter.problem is None


async def _stop(pair: Pair, part: Part, step: str) -> None:
    """SIGSTOP to the part once the secondary is in that step; checkpoints are made all the time."""
    await pair.status("beta")
    async with anyio.create_task_group() as tasks, pair.agent("alpha") as primary:
        tasks.start_soon(_checkpoints, primary)
        with anyio.fail_after(_REACH_S):
            while (await pair.status("beta")).step != step:
                pass
        host = pair.hosts["beta"]
        stuck = host.qemu if part == "qemu" else host.agent
        assert stuck is not None
        stuck.signal(signal.SIGSTOP)
        tasks.cancel_scope.cancel()


async def _checkpoints(primary: AgentClient) -> None:
    try:
        while True:
            await primary.checkpoint()
    except ColoError:
        return  # the secondary is stuck
