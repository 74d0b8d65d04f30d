"""`colo checkpoint`: one now."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time

import click

from colo.cli.output import config_argument, format_option, is_json, print_json, print_pairs
from colo.cli.talk import with_agent


@click.command()
@config_argument
@format_option
def command(config: Path) -> None:
    """Take a checkpoint now; ends when it is committed."""
    report = with_agent(config, lambda client: client.checkpoint())
    if is_json():
        print_json(report)
        return
    phases = ", ".join(f"{name} {ms:.1f} ms" for name, ms in report.phases_ms.items())
    print_pairs(
        {
            "checkpoint": f"{report.checkpoint} ({report.reason})",
            "pages": report.pages,
            "device state": f"{report.state_bytes} bytes",
            "pause": f"{report.pause_ms:.1f} ms",
            "phases": phases,
        }
    )
