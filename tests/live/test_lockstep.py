"""Two copies agree: identical answers go out at once, without any checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from traffic import run

from colo.errors import RefusedError
from colo.lab.pair import HOSTS, Options, Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from colo.api.service import Status
    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

LOCKSTEP = Options(checkpoint={"period_ms": 0})


@pytest.fixture(scope="module")
async def lasting(
    lab_guests: tuple[Guest, ...], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """One for all tests of this file, which leave it as it is."""
    async with Pair(tmp_path_factory.mktemp("lockstep"), lab_guests[1], LOCKSTEP, boot=True) as pair:
        await pair.protected()
        yield pair


@pytest.fixture
async def pair(lasting: Pair) -> AsyncIterator[Pair]:
    yield lasting
    status = await lasting.status("alpha")
    assert (status.state, status.mode) == ("protected", "lockstep"), status.why


async def test_a_hundred_gets_are_answered_in_lockstep_without_a_mismatch(pair: Pair) -> None:
    # What the boot left behind (neighbours, caches) is settled first.
    await run(pair, "settle", "gets", "--count", "5")
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


async def test_either_host_tells_how_long_each_phase_took_that_is_documented(pair: Pair) -> None:
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


async def test_a_page_that_differs_forces_a_checkpoint_and_is_delivered(pair: Pair) -> None:
    before = await pair.status("alpha")
    record = await run(pair, "random", "gets", "--count", "3", "--path", "/random", "--any-body")
    status = await pair.status("alpha")
    assert record.whole
    assert record.answers == 3
    # A copy that is late on a busy machine is noticed by the hold limit instead.
    assert _forced(status) > _forced(before)


async def test_the_secondary_does_not_protect_what_the_primary_runs(pair: Pair) -> None:
    async with pair.agent("beta") as client:
        with pytest.raises(RefusedError, match="the VM does not run on this host: ") as caught:
            async for _ in client.protect():
                pass
    assert "colo lease show" in caught.value.hint


def _forced(status: Status) -> int:
    reasons = status.checkpoints.by_reason
    return reasons.get("mismatch", 0) + reasons.get("hold-limit", 0)
