"""Two copies agree: identical answers go out at once, without any checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from traffic import run

from colo.lab.pair import HOSTS, Options, Pair

if TYPE_CHECKING:
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

LOCKSTEP = Options(checkpoint={"period_ms": 0})


async def test_a_hundred_gets_are_answered_in_lockstep_without_a_mismatch(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, LOCKSTEP) as pair:
        await pair.protected()
        await run(
            pair, "settle", "gets", "--count", "5"
        )  # what the boot left behind (neighbours, caches) is settled
        await pair.checkpoint()
        before = await pair.status("alpha")
        record = await run(pair, "hundred", "gets", "--count", "100")
        after = await pair.status("alpha")
    assert record.whole
    assert record.answers == 100
    # SYN-ACK, data and FIN of each connection: all released because the copies agreed.
    agreed = after.traffic["released_agreed"] - before.traffic["released_agreed"]
    assert agreed >= 300
    assert after.traffic["divergences"] == before.traffic["divergences"]
    assert after.checkpoints.by_reason.get("mismatch", 0) == before.checkpoints.by_reason.get("mismatch", 0)


async def test_either_host_tells_how_long_each_phase_took_that_is_documented(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, LOCKSTEP) as pair:
        await pair.protected()
        report = await pair.checkpoint()
        primary, secondary = [(await pair.status(name)).checkpoints for name in HOSTS]
    documented = _documented("primary")
    assert {"pause", "commit", "loaded"} < set(report.phases_ms) <= documented
    assert set(primary.phases) | {"verify", "slowed"} == documented, "those two are not in every checkpoint"
    assert set(secondary.phases) == _documented("secondary")
    assert secondary.received >= primary.total > 0
    assert all(0 <= ms <= secondary.phases[name].max_ms for name, ms in secondary.last_phases_ms.items())


def _documented(role: str) -> set[str]:
    """docs/checkpoint.md's table of that role."""
    text = Path(__file__).parents[2].joinpath("docs/checkpoint.md").read_text()
    table = text.split(f"| phase of the {role} | what |\n", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE))


async def test_a_vm_that_resumes_together_with_its_copy_serves_and_survives_the_loss_of_its_host(
    tmp_path: Path, lab_guest: Guest
) -> None:
    options = Options(checkpoint={"period_ms": 200, "resume": "together"})
    async with Pair(tmp_path, lab_guest, options) as pair:
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


async def test_a_page_that_differs_between_the_copies_forces_a_checkpoint_and_is_delivered(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, LOCKSTEP) as pair:
        await pair.protected()
        record = await run(pair, "random", "gets", "--count", "3", "--path", "/random", "--any-body")
        status = await pair.status("alpha")
    assert record.whole
    assert record.answers == 3
    # A copy that is late on a busy machine is noticed by the hold limit instead.
    assert status.checkpoints.by_reason.keys() & {"mismatch", "hold-limit"}
    assert status.state == "protected"


async def test_a_failover_by_command_hands_the_vm_over(tmp_path: Path, lab_guest: Guest) -> None:
    async with Pair(tmp_path, lab_guest) as pair:
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
    async with Pair(tmp_path, lab_guest) as pair:
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
