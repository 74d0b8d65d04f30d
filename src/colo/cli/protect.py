"""`colo protect`: from one copy to two."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time
from typing import TYPE_CHECKING

import click

from colo.cli.output import config_argument, format_option, is_json, print_json
from colo.cli.talk import with_agent
from colo.errors import AgentUnreachableError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from colo.api.client import AgentClient
    from colo.api.service import Progress

PROTECTED = "protected"
_MIB = 1 << 20


@click.command()
@config_argument
@format_option
def command(config: Path) -> None:
    """Bring the VM under protection; ends when it is protected.

    Run it on the host that runs the VM, or is to: it is started where it does not run. Interrupting this
    command does not interrupt the protection.
    """
    with_agent(config, _as_json if is_json() else _with_bar)


async def _as_json(client: AgentClient) -> None:
    last = None
    async with aclosing(client.protect()) as steps:
        async for last in steps:
            print_json(last)
    _require_protected(last)


async def _with_bar(client: AgentClient) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[link]}"),
    )
    last = None
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("connecting", total=None, link="")
        async with aclosing(client.protect()) as steps:
            async for last in steps:
                _advance(bar, task, last)
    _require_protected(last)
    click.echo(last.sentence if last and last.why else PROTECTED)


def _advance(bar: Bar, task: TaskID, step: Progress) -> None:
    bar.update(
        task,
        description=f"{step.phase}, round {step.round}" if step.round else step.phase,
        completed=step.done_bytes,
        total=step.total_bytes or None,
        link=on_the_link(step),
    )


def on_the_link(step: Progress) -> str:
    """`12.0 MiB sent, 118.0 MiB/s, 0:07 left, VM stopped for 50%`: what the link carries, which is less than
    what is copied.
    """
    if not step.rate_bytes_s:
        return ""
    words = [f"{step.sent_bytes / _MIB:.1f} MiB sent", f"{step.rate_bytes_s / _MIB:.1f} MiB/s"]
    if step.done_bytes:
        left = step.total_bytes - step.done_bytes
        seconds = round(left * step.sent_bytes / step.done_bytes / step.rate_bytes_s)
        words.append(f"{seconds // 60}:{seconds % 60:02} left")
    if step.stopped:
        words.append(f"VM stopped for {step.stopped:.0%}")
    return ", ".join(words)


def _require_protected(last: Progress | None) -> None:
    if last is None or last.phase != PROTECTED:
        reached = f"at {last.phase!r}" if last else "before the first step"
        raise AgentUnreachableError(
            f"the agent ended {reached}, and the VM is not protected", "see the agent's log, then try again"
        )
