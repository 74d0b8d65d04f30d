"""The top of all commands: loads them when they are used, and turns errors into sentences and exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import click

from colo.cli.output import is_json
from colo.errors import ColoError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class ColoGroup(click.Group):
    """A group whose command `name` is `command` of the module `colo.cli.<name>`."""

    def __init__(self, *args: Any, commands_of: Mapping[str, str], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._commands_of = commands_of

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """All names, without loading anything."""
        return list(self._commands_of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load it."""
        if cmd_name not in self._commands_of:
            return None
        command: click.Command = importlib.import_module(f"colo.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list for --help, from the table: fast, whatever the commands import."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._commands_of.items()))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's interface
        """Run the command. What the operator can do something about never ends in a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except ColoError as e:
            _fail(ctx, e)
        except BaseExceptionGroup as group:
            if isinstance(expected := _only_expected(group), ColoError):
                _fail(ctx, expected)
            elif isinstance(expected, KeyboardInterrupt):
                ctx.exit(INTERRUPTED)
            raise


def _fail(ctx: click.Context, error: ColoError) -> None:
    if is_json(ctx):
        from colo.api.wire import ErrorBody, to_json

        click.echo(to_json(ErrorBody.of(error)), err=True)
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True)
        if error.hint:
            click.echo(f"{click.style('hint:', bold=True)} {error.hint}", err=True)
    sys.stderr.flush()
    ctx.exit(error.exit_code)


def _only_expected(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The error to tell of a group of tasks; None if there is a bug among them, which must not be hidden."""
    leaves = tuple(_leaves(group))
    if not all(isinstance(e, ColoError | KeyboardInterrupt) for e in leaves):
        return None
    return leaves[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
