"""Everything that happens, one after the other."""

from __future__ import annotations

import anyio
import pytest

from colo.agent.inbox import Changes, Inbox

pytestmark = pytest.mark.anyio


async def test_jobs_come_out_in_order() -> None:
    inbox, done = Inbox(), []
    for number in range(3):
        inbox.post(lambda number=number: done.append(number))
    while job := inbox.take():
        job()
    assert done == [0, 1, 2]


async def test_a_job_that_comes_is_told() -> None:
    inbox, told = Inbox(), []
    inbox.posted = lambda: told.append(True)
    inbox.post(lambda: None)
    assert told == [True]
    assert inbox.take() is not None
    assert inbox.take() is None


async def test_everybody_who_waits_sees_the_change() -> None:
    changes = Changes()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(changes.wait, 60.0)
        await anyio.wait_all_tasks_blocked()
        changes.tell()
