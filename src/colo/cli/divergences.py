"""`colo divergences`: where the two copies differed."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time
from typing import TYPE_CHECKING

import click

from colo.cli.output import config_argument, format_option, is_json, print_json, print_table
from colo.cli.status import counted
from colo.cli.talk import with_agent

if TYPE_CHECKING:
    from colo.api.service import Divergence

KEPT = 256
_NS_PER_S = 1_000_000_000
_HEADER = ("#", "at", "epoch", "nic", "flow", "kind", "held", "difference")


@click.command()
@config_argument
@click.option(
    "--last", type=click.IntRange(0, KEPT), default=20, show_default=True, help="Show only so many, the last."
)
@format_option
def command(config: Path, last: int) -> None:
    """Show where the copies of CONFIG's VM differed, each of which cost a checkpoint or went with one.

    Ask the primary. Times are seconds since the host's boot, as in `colo events`.
    """
    from attrs import evolve

    found = with_agent(config, lambda client: client.divergences())
    shown = found.last[len(found.last) - min(last, len(found.last)) :]
    if is_json():
        print_json(evolve(found, last=shown))
        return
    click.echo(f"divergences: {counted(found.by_kind)}")
    if shown:
        print_table(_HEADER, [_row(divergence) for divergence in shown])


def _row(divergence: Divergence) -> tuple[str, ...]:
    return (
        str(divergence.number),
        f"{divergence.at_ns / _NS_PER_S:.3f}",
        str(divergence.epoch),
        str(divergence.nic),
        divergence.flow,
        divergence.kind,
        f"{divergence.held_ms:.1f} ms",
        divergence.detail,
    )
