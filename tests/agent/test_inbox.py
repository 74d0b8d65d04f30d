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


async def test_waiting_ends_with_the_next_job() -> None:
    inbox = Inbox()
    assert inbox.take() is None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(inbox.wait, 60.0)
        inbox.post(lambda: None)
    assert inbox.take() is not None


async def test_a_job_that_is_there_already_ends_the_wait_at_once() -> None:
    inbox = Inbox()
    inbox.post(lambda: None)
    await inbox.wait(60.0)


async def test_waiting_ends_after_its_time() -> None:
    inbox = Inbox()
    await inbox.wait(0.0)
    assert inbox.take() is None


async def test_everybody_who_waits_sees_the_change() -> None:
    changes = Changes()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(changes.wait, 60.0)
        await anyio.wait_all_tasks_blocked()
        changes.tell()
