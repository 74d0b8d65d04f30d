"""A client meets the same sequence numbers whichever copy answers, however often hosts are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from traffic import more_answers

from colo.lab.pair import Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest
    from colo.lab.records import WatchedClient

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(240)]

LOCKSTEP = Options(checkpoint={"period_ms": 0})
_TRIES = 5


async def _counter(pair: Pair) -> WatchedClient:
    """A connection that no checkpoint has seen: one in between would make the numbers the same."""
    for attempt in range(_TRIES):
        before = (await pair.status("alpha")).epoch
        name = f"counter{attempt}"
        client = pair.client(name, "counter", "--interval", "0.02")
        await more_answers(client)
        if (await pair.status("alpha")).epoch == before:
            return client
        await client.finish(60)
    raise AssertionError(f"{_TRIES} times a checkpoint came in between")


async def test_a_connection_younger_than_the_last_checkpoint_outlives_two_hosts(
    tmp_path: Path, lab_guest: Guest
) -> None:
    async with Pair(tmp_path, lab_guest, LOCKSTEP, boot=True) as pair:
        await pair.protected()
        await pair.checkpoint()
        client = await _counter(pair)
        for victim, survivor in (("alpha", "beta"), ("beta", "alpha")):
            pair.kill(victim)
            status = await pair.until(survivor, "degraded")
            assert status.traffic["translated"] >= 1
            await more_answers(client)
            await pair.start_agent(victim)
            async for _ in pair.protect(survivor):
                pass
            await more_answers(client)
        await client.finish(60)
    assert client.record.whole, client.record.why
