"""`python -m bench.modes`: what clients see in either mode, or with either order of a checkpoint.

Answers that agree, answers that differ, and bulk.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import click
from rich.table import Table

from bench.checkpoint.measure import PERIOD_MS
from bench.checkpoints import collect, spread
from bench.laboratory import console, guest, stopped
from colo.lab.pair import HOSTS, Guest, Options, Pair

LOADS: dict[str, tuple[str, ...]] = {
    "answers that agree": ("gets",),
    "answers that differ": ("gets", "--path", "/random", "--any-body"),
    "download": ("download", "--mib", "4"),
}
SETTINGS: dict[str, tuple[dict[str, str], ...]] = {
    "mode": ({"mode": "lockstep"}, {"mode": "epoch"}),
    "resume": ({"mode": "lockstep", "resume": "early"}, {"mode": "lockstep", "resume": "together"}),
}
_MS_PER_S = 1000


@click.command()
@click.option("--setting", type=click.Choice(list(SETTINGS)), default="mode", show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="How long each load runs.")
@click.option("--rounds", default=1, show_default=True, help="How often, in turn.")
@click.option("--period", default=PERIOD_MS, show_default=True, help="A checkpoint every so many ms.")
@click.option("--qemu", default="10.0", show_default=True, help="Version under .cache/qemu.")
def main(setting: str, seconds: float, rounds: int, period: int, qemu: str) -> None:
    """Measure what clients see with each value of a setting of `[checkpoint]`."""
    names = (
        "answers",
        "median, ms",
        "p99, ms",
        "MiB/s",
        "checkpoints/s",
        "paused, %",
        "pause, ms",
        "loaded, ms",
    )
    table = Table(setting, "load", *names)
    for checkpoint in SETTINGS[setting] * rounds:
        for row in anyio.run(_measure, guest(qemu), checkpoint | {"period_ms": period}, seconds):
            table.add_row(checkpoint[setting], *row)
    console.print(table)


async def _measure(subject: Guest, checkpoint: dict[str, Any], seconds: float) -> list[tuple[str, ...]]:
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        async with Pair(Path(folder), subject, Options(checkpoint=checkpoint)) as pair:
            await pair.protected()
            return [await _under(pair, load, seconds) for load in LOADS]


async def _under(pair: Pair, load: str, seconds: float) -> tuple[str, ...]:
    client = pair.client(load.replace(" ", "-"), *LOADS[load])
    checkpoints = await collect(pair, HOSTS[0], seconds)
    record = await stopped(client)
    waits = spread(record.waits_ms)
    pauses, loaded = ([done[f"{phase}_ms"] for done in checkpoints] for phase in ("pause", "loaded"))
    rate = record.mib / (sum(record.waits_ms) / _MS_PER_S)
    return (
        load,
        str(record.answers),
        f"{waits['median']:.1f}",
        f"{waits['p99']:.1f}",
        f"{rate:.1f}" if record.mib else "",
        f"{len(checkpoints) / seconds:.1f}",
        f"{100 * sum(pauses) / (seconds * _MS_PER_S):.1f}",
        *(f"{median(phase):.1f}" if phase else "" for phase in (pauses, loaded)),
    )


if __name__ == "__main__":
    main()
