"""What the commands that talk to a running agent share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from colo.api.client import AgentClient

T = TypeVar("T")


def with_agent(config: Path, ask: Callable[[AgentClient], Awaitable[T]]) -> T:
    """Run `ask` with the agent of the run folder that the file `config` names."""
    import anyio

    return anyio.run(partial(_with_client, config, ask))


async def _with_client(config: Path, ask: Callable[[AgentClient], Awaitable[T]]) -> T:
    from colo.api.client import AgentClient
    from colo.config import load

    async with AgentClient(load(config).agent.run_dir) as client:
        return await ask(client)
