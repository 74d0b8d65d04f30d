"""Tables for people, JSON for programs: the same data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_FORMAT = "colo.format"

config_argument = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


def format_option(function: F) -> F:
    """Gives a command `--format table|json`; errors follow it too. Ask with `is_json`."""

    def note(ctx: click.Context, _: click.Parameter, value: str) -> None:
        ctx.meta[_FORMAT] = value

    return click.option(
        "--format",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        is_eager=True,
        expose_value=False,
        callback=note,
        help="For people or for programs.",
    )(function)


def is_json(ctx: click.Context | None = None) -> bool:
    """Whether the running command was asked for JSON."""
    return (ctx or click.get_current_context()).meta.get(_FORMAT) == "json"


def print_json(value: Any) -> None:  # noqa: ANN401 - any attrs class
    """One line."""
    from colo.api.wire import to_json

    click.echo(to_json(value))


def print_pairs(pairs: dict[str, object]) -> None:
    """Two columns; what is None or empty is left out."""
    shown = {key: str(value) for key, value in pairs.items() if value not in (None, "", {})}
    width = max((len(key) for key in shown), default=0)
    for key, value in shown.items():
        click.echo(f"{click.style(key.ljust(width), bold=True)}  {value}")


def print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for number, row in enumerate([header, *rows]):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=number == 0))
