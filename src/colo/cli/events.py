"""`colo events`: what happens, line by line."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time
from typing import TYPE_CHECKING

import click

from colo.cli.output import config_argument, format_option, is_json, print_json
from colo.cli.talk import with_agent

if TYPE_CHECKING:
    from colo.api.client import AgentClient

_NS_PER_S = 1_000_000_000


@click.command()
@config_argument
@format_option
def command(config: Path) -> None:
    """Follow what the agent of CONFIG does until it ends. Times are seconds since the host's boot."""
    with_agent(config, _follow)


async def _follow(client: AgentClient) -> None:
    async with aclosing(client.events()) as events:
        async for event in events:
            if is_json():
                print_json(event)
                continue
            details = " ".join(f"{key}={value}" for key, value in event.details.items())
            seconds = event.at_ns / _NS_PER_S
            click.echo(f"{seconds:.3f}  {event.kind}  {event.why}  {details}".rstrip())
