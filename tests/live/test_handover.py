"""The VM goes over to the other host: by command, by a loss, and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import run

from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]


async def test_a_failover_by_command_hands_the_vm_over(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest, boot=True) as pair:
        await pair.protected()
        counter = pair.client("counter", "counter", "--count", "100", "--interval", "0.02")
        async with pair.agent("beta") as secondary:
            said = await secondary.failover()
        await pair.until("beta", "degraded")
        await pair.until("alpha", "idle")
        record = await counter.ended(60.0)
    assert "resign" in said
    assert record.whole
    assert record.answers == 100


async def test_the_survivor_is_protected_again_by_the_host_that_came_back(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, boot=True) as pair:
        await pair.protected()
        counter = pair.client("counter", "counter", "--interval", "0.02")
        for victim, survivor in (("alpha", "beta"), ("beta", "alpha")):
            pair.kill(victim)
            await pair.until(survivor, "degraded")
            await pair.start_agent(victim)
            async for _ in pair.protect(survivor):
                pass
        record = await counter.finish(60.0)
    assert record.whole
    assert record.answers > 0


async def test_a_vm_that_resumes_together_with_its_copy_serves_and_survives_the_loss_of_its_host(
    tmp_path: Path, lab_guest: Guest
) -> None:
    options = Options(checkpoint={"period_ms": 200, "resume": "together"})
    async with Pair(tmp_path, lab_guest, options, boot=True) as pair:
        await pair.protected()
        counter = pair.client("counter", "counter", "--interval", "0.02")
        report = await pair.checkpoint()
        await run(pair, "before", "gets", "--count", "20")
        pair.kill("alpha")
        await pair.until("beta", "degraded")
        await run(pair, "after", "gets", "--count", "5")
        record = await counter.finish(60.0)
    stopped = report.phases_ms["loaded"] - report.phases_ms["drain"] - report.phases_ms["prepare"]
    assert report.pause_ms > stopped / 2, "it waits for the copy"  # two clocks, and a busy machine
    assert record.whole
    assert record.answers > 0
