"""`colo status`: what an agent is doing."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - click's callbacks are inspected at run time
from typing import TYPE_CHECKING

import click

from colo.cli.output import config_argument, format_option, is_json, print_json, print_pairs
from colo.cli.talk import with_agent

if TYPE_CHECKING:
    from colo.api.client import AgentClient
    from colo.api.service import Checkpoints, Phase, Status

WATCH_S = 1.0


@click.command()
@config_argument
@click.option("--watch", is_flag=True, help="Show it again every second, until interrupted.")
@click.option(
    "--verbose", is_flag=True, help="With the phases of checkpoints, divergences by kind, and traffic."
)
@format_option
def command(config: Path, *, watch: bool, verbose: bool) -> None:
    """Show what the agent of CONFIG is doing, and why. JSON always has everything."""
    if watch:
        with_agent(config, partial(_watch, verbose=verbose))
    else:
        _show(with_agent(config, lambda client: client.status()), verbose=verbose)


async def _watch(client: AgentClient, *, verbose: bool) -> None:
    import anyio

    while True:
        status = await client.status()
        if not is_json():
            click.clear()
        _show(status, verbose=verbose)
        await anyio.sleep(WATCH_S)


def _show(status: Status, *, verbose: bool) -> None:
    if is_json():
        print_json(status)
    else:
        print_pairs(rows(status) | (details(status) if verbose else {}))


def rows(status: Status) -> dict[str, object]:
    """The table for people."""
    taken, pause = status.checkpoints, status.checkpoints.median_pause_ms
    return {
        "VM": status.vm,
        "node": f"{status.node} ({status.role}), peer {status.peer}",
        "state": f"{status.state}, {status.mode}" if status.mode else status.state,
        "why": status.why,
        "epoch": status.epoch,
        "now": status.step,
        "token": status.token,
        "checkpoints": checkpoints(taken),
        "median pause": None if pause is None else f"{pause:.1f} ms",
        "hold limit": hold_limit(status),
        "QEMU": status.qemu,
        "accelerator": status.accel,
        "dirty pages by": status.tracker,
        "up for": f"{status.uptime_s:.0f} s",
    }


def checkpoints(counted: Checkpoints) -> str:
    """`3 (1 mismatch, 2 period)`; what a secondary has put in place is told as that."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counted.by_reason.items()))
    taken = f"{counted.total} ({reasons})" if reasons else str(counted.total)
    if not counted.received:
        return taken
    received = f"{counted.received} received"
    return f"{taken}, {received}" if counted.total else received


def hold_limit(status: Status) -> str | None:
    """How long an answer waits for its twin, where answers are compared."""
    limit, lag = (status.traffic.get(name, 0) / 1000 for name in ("hold_limit_us", "lag_p99_us"))
    if status.mode != "lockstep" or status.role != "primary" or not limit:
        return None
    seen = f"99 of 100 answers agree within {lag:.1f} ms" if lag else "no answers have agreed yet"
    return f"{limit:.1f} ms ({seen})"


def details(status: Status) -> dict[str, object]:
    """What --verbose adds to it."""
    phases = status.checkpoints.last_phases_ms
    return {
        "last phases": ", ".join(f"{name} {ms:.1f} ms" for name, ms in phases.items()),
        "all phases": all_phases(status.checkpoints.phases),
        "last sent": last_sent(status.checkpoints.last_sent),
        "verified": counted(status.checkpoints.verified) if status.checkpoints.verified else None,
        "divergences": counted(status.divergences),
        "traffic": counted(status.traffic),
    }


def all_phases(phases: dict[str, Phase]) -> str:
    """`save 2.1 (14.0) ms`: the mean over all checkpoints, and the longest."""
    return ", ".join(
        f"{name} {phase.sum_ms / phase.count:.1f} ({phase.max_ms:.1f}) ms" for name, phase in phases.items()
    )


def last_sent(counts: dict[str, int]) -> str | None:
    """`464 KiB as 5 KiB: 8 equal, 33 delta`: the last checkpoint's bytes, and its pages by their way."""
    if not counts:
        return None
    sizes = (counts[name] / 1024 for name in ("bytes_before", "bytes_sent"))
    kinds = {kind: count for kind, count in counts.items() if not kind.startswith("bytes_")}
    return f"{' as '.join(f'{size:.0f} KiB' for size in sizes)}: {counted(kinds)}"


def counted(counts: dict[str, int]) -> str:
    """`3 stream, 1 missing`; what never happened is left out."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
