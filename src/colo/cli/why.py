"""`colo why`: lock-step or epochs, and what speaks for it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time
from typing import TYPE_CHECKING

import click

from colo.cli.output import config_argument, format_option, is_json, print_json, print_pairs, print_table
from colo.cli.talk import with_agent

if TYPE_CHECKING:
    from colo.api.service import Measured, Why

_HEADER = ("measured", "now", "too much from", "back below")


@click.command()
@config_argument
@format_option
def command(config: Path) -> None:
    """Say whether the copies of CONFIG's VM run in lock-step or in epochs, since when, and why.

    Ask the primary. The figures are those of the last seconds.
    """
    told = with_agent(config, lambda client: client.why())
    if is_json():
        print_json(told)
        return
    print_pairs(rows(told))
    click.echo()
    print_table(_HEADER, [_row(one) for one in told.measured])


def rows(told: Why) -> dict[str, object]:
    """The sentences."""
    return {
        "mode": f"{told.mode}, for {told.since_s:.0f} s",
        "because": told.why,
        "what would change it": told.outlook,
        "changes so far": str(told.changes),
        "next checkpoint": told.pace,
    }


def _row(one: Measured) -> tuple[str, ...]:
    return (one.name, *(f"{value:g} {one.unit}" for value in (one.value, one.limit, one.back)))
