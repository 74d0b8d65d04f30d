"""`colo stop`: end an agent."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time

import click

from colo.cli.output import config_argument, format_option, is_json
from colo.cli.talk import with_agent


@click.command()
@config_argument
@format_option
def command(config: Path) -> None:
    """Ask the agent of CONFIG to end, and its copy of the VM with it."""
    with_agent(config, lambda client: client.stop())
    if not is_json():
        click.echo("the agent is ending")
