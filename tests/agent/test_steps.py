"""One step at a time, each answered once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from colo.agent.steps import Steps
from colo.errors import QemuError
from colo.model.checkpoint.events import StepFailed, VmResumed, VmStopped

pytestmark = pytest.mark.anyio


async def test_a_step_posts_its_report() -> None:
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:

        async def stop() -> VmStopped:
            return VmStopped()

        Steps(tasks, posted.append).start("stop", stop)
    assert posted == [VmStopped()]


async def test_a_step_that_fails_posts_why() -> None:
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:

        async def stop() -> VmStopped:
            raise QemuError("QEMU is dead")

        Steps(tasks, posted.append).start("stop", stop)
    assert posted == [StepFailed("stop", "QEMU is dead")]


async def test_a_bug_in_a_step_is_no_failed_step_and_told_at_once() -> None:
    async def stop() -> VmStopped:
        raise KeyError("bug")

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            Steps(tasks, lambda _: None).start("stop", stop)

    with capture_logs() as told, pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(KeyError)
    assert [(line["step"], line["log_level"]) for line in told] == [("stop", "error")]


async def test_a_new_step_ends_the_one_under_way_and_only_the_new_one_reports() -> None:
    posted: list[Any] = []
    began, over = anyio.Event(), []
    async with anyio.create_task_group() as tasks:
        steps = Steps(tasks, posted.append)

        async def save() -> VmStopped:
            began.set()
            try:
                await anyio.sleep_forever()
            finally:
                over.append("save")
            return VmStopped()

        async def resume() -> VmResumed:
            assert over == ["save"]
            return VmResumed()

        steps.start("save", save)
        await began.wait()
        steps.start("resume", resume)
    assert posted == [VmResumed()]


async def test_a_cancelled_step_reports_nothing() -> None:
    posted: list[Any] = []
    async with anyio.create_task_group() as tasks:
        steps = Steps(tasks, posted.append)

        async def save() -> VmStopped:
            await anyio.sleep_forever()
            return VmStopped()

        steps.start("save", save)
        await steps.cancel()
    assert posted == []


async def test_a_step_that_could_not_be_interrupted_reports_nothing_once_cancelled() -> None:
    posted: list[Any] = []
    began, goes_on = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        steps = Steps(tasks, posted.append)

        async def save() -> VmStopped:
            with anyio.CancelScope(shield=True):  # as a call of the core in a thread
                began.set()
                await goes_on.wait()
            return VmStopped()

        steps.start("save", save)
        await began.wait()
        tasks.start_soon(steps.cancel)
        await anyio.wait_all_tasks_blocked()
        goes_on.set()
    assert posted == []
