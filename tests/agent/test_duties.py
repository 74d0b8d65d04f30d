"""Duties whose VM and relay are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, cast

import anyio
import anyio.lowlevel
import pytest

from colo.agent.duties import Duties
from colo.agent.inbox import Inbox, Job
from colo.config.schema import CheckpointConfig
from colo.model.role import actions

if TYPE_CHECKING:
    from colo.model.role.events import PeerLost

pytestmark = pytest.mark.anyio

_PATIENCE_S = 5.0


class _Vm:
    @property
    def ram(self) -> NoReturn:
        raise RuntimeError("the link is not up")


async def test_why_the_link_was_lost_is_heard_before_the_step_that_failed_for_it() -> None:
    inbox, heard = Inbox(), list[str]()
    async with anyio.create_task_group() as tasks:
        nobody: Any = None
        duties = Duties(
            cast("Any", SimpleNamespace(checkpoint=CheckpointConfig())),
            *(nobody, nobody, inbox, nobody, nobody, tasks, cast("Any", _Link())),
            tell_role=lambda event: heard.append(cast("PeerLost", event).why),
            tell_round=lambda _: None,
            guard=lambda job: job(),
            now=lambda: 0,
            hear_relay=lambda: inbox.post(lambda: heard.append("goodbye")),
            vm=cast("Any", _Vm()),
        )
        duties.carry_out(actions.StartSync("a test"))
        for _ in range(2):
            (await _next(inbox))()
    assert heard == ["goodbye", "pre-copy failed: the link is not up"]


class _Link:
    def send(self, _message: object) -> None:
        pass


async def _next(inbox: Inbox) -> Job:
    with anyio.fail_after(_PATIENCE_S):
        while (job := inbox.take()) is None:
            await anyio.lowlevel.checkpoint()
    return job
