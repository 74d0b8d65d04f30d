"""`colo check`: what this machine offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from colo.cli.output import format_option, is_json, print_json
from colo.errors import CapabilityError

if TYPE_CHECKING:
    from colo.check import Finding

_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--qemu", default="qemu-system-x86_64", show_default=True, help="Without CONFIG: which QEMU.")
@format_option
@click.pass_context
def command(ctx: click.Context, config: Path | None, qemu: str) -> None:
    """Say what this machine offers for protecting VMs, and what to do about what is missing.

    With CONFIG, also whether that VM fits here and whether its witness answers. Exit code 11 if something
    fails.
    """
    import anyio

    from colo.check import Level, check
    from colo.config import load

    findings = anyio.run(check, load(config) if config else None, qemu)
    if is_json():
        print_json(findings)
    else:
        for finding in findings:
            _show(finding)
    if any(finding.level is Level.FAIL for finding in findings):
        ctx.exit(CapabilityError.exit_code)


def _show(finding: Finding) -> None:
    level = click.style(finding.level.ljust(4), fg=_COLOURS[finding.level], bold=True)
    click.echo(f"{level}  {finding.name}: {finding.message}")
    if finding.hint:
        click.echo(f"      -> {finding.hint}")
