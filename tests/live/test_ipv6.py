"""IPv6 clients: the copies agree, whatever the kernels' neighbour discovery and multicast reports say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import run

from colo.lab.pair import Options, Pair
from colo.lab.settings import GUEST_ADDRESS6

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from colo.lab.pair import Guest

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(180)]

LOCKSTEP = Options(checkpoint={"period_ms": 0})


@pytest.fixture(scope="module")
async def pair(
    lab_guests: tuple[Guest, ...], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """One for all tests of this file: its guest boots in lock-step."""
    async with Pair(tmp_path_factory.mktemp("ipv6"), lab_guests[-1], LOCKSTEP) as pair:
        await pair.protected()
        yield pair


async def test_the_noise_of_a_booting_ipv6_kernel_causes_no_divergence(pair: Pair) -> None:
    """Duplicate address detection has nonces, multicast reports come at random times: none is compared."""
    record = await run(pair, "boot", "await-guest", address=GUEST_ADDRESS6)
    async with pair.agent("alpha") as client:
        found = await client.divergences()
    assert record.whole, record.why
    # The copies do not boot at the same speed: clients that come too early may find that they differ.
    assert [one for one in found.last if not one.flow.startswith("tcp ")] == []


async def test_a_hundred_gets_over_ipv6_are_answered_in_lockstep_without_a_mismatch(pair: Pair) -> None:
    await run(pair, "first", "gets", "--count", "5", address=GUEST_ADDRESS6)
    await pair.checkpoint()
    before = await pair.status("alpha")
    record = await run(pair, "gets", "gets", "--count", "100", address=GUEST_ADDRESS6)
    after = await pair.status("alpha")
    assert record.whole, record.why
    assert record.answers == 100
    assert after.traffic["released_agreed"] - before.traffic["released_agreed"] >= 300
    assert after.divergences == before.divergences
    assert after.checkpoints.by_reason.get("mismatch", 0) == before.checkpoints.by_reason.get("mismatch", 0)
    assert (after.state, after.mode) == ("protected", "lockstep"), after.why
