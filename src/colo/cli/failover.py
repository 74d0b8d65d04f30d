"""`colo failover`: the other host takes over, by plan."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time

import click

from colo.cli.output import config_argument, format_option, is_json, print_json
from colo.cli.talk import with_agent


@click.command()
@config_argument
@format_option
def command(config: Path) -> None:
    """Hand the VM over to the other host. Works on either host of a protected VM."""
    done = with_agent(config, lambda client: client.failover())
    if is_json():
        print_json({"done": done})
    else:
        click.echo(done)
