"""What followers of the journal see."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import pytest

from colo.agent import journal
from colo.agent.journal import Journal
from colo.api.service import AgentEvent

pytestmark = pytest.mark.anyio


async def test_a_follower_gets_what_happens_from_then_on() -> None:
    written, seen = Journal("alpha"), []
    written.note("before", "not seen")

    async def follow() -> None:
        async with aclosing(written.follow()) as entries:
            seen.append(await anext(entries))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        written.note("role", "protected", token=3)
    assert [(entry.kind, entry.why, entry.details) for entry in seen] == [("role", "protected", {"token": 3})]


async def test_a_follower_that_lags_is_dropped_and_does_not_hold_up_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "_FOLLOWER_LAG", 2)
    written, seen = Journal("alpha"), list[AgentEvent]()

    async def follow() -> None:
        async with aclosing(written.follow()) as entries:
            async for entry in entries:
                seen.append(entry)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        for number in range(10):  # without letting the follower run
            written.note("tick", str(number))
    # It ended by itself, after what had waited for it.
    assert [entry.why for entry in seen] == ["0", "1", "2"]
    assert written._followers == []
