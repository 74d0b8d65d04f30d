"""`python -m bench.modes`: lock-step and epochs side by side; answers that agree, and answers that differ."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import click
from rich.console import Console
from rich.table import Table

from bench.checkpoints import collect, spread
from bench.laboratory import guest, stopped
from colo.lab.pair import HOSTS, Guest, Options, Pair

LOADS: dict[str, tuple[str, ...]] = {
    "answers that agree": ("gets",),
    "answers that differ": ("gets", "--path", "/random", "--any-body"),
    "download": ("download", "--mib", "4"),
}
_MS_PER_S = 1000


@click.command()
@click.option("--seconds", default=5.0, help="How long each load runs.")
@click.option("--qemu", default="10.0", help="Version under .cache/qemu.")
def main(seconds: float, qemu: str) -> None:
    """Measure what clients see in either mode."""
    table = Table("mode", "load", "answers", "median, ms", "p99, ms", "MiB/s", "checkpoints/s", "paused, %")
    for mode in ("lockstep", "epoch"):
        for row in anyio.run(_measure, guest(qemu), mode, seconds):
            table.add_row(mode, *row)
    Console(width=120).print(table)


async def _measure(subject: Guest, mode: str, seconds: float) -> list[tuple[str, ...]]:
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        async with Pair(Path(folder), subject, Options(checkpoint={"mode": mode})) as pair:
            await pair.protected()
            return [await _under(pair, load, seconds) for load in LOADS]


async def _under(pair: Pair, load: str, seconds: float) -> tuple[str, ...]:
    client = pair.client(load.replace(" ", "-"), *LOADS[load])
    checkpoints = await collect(pair, HOSTS[0], seconds)
    record = await stopped(client)
    waits = spread(record.waits_ms)
    paused = sum(float(done["pause_ms"]) for done in checkpoints) / (seconds * _MS_PER_S)
    rate = record.mib / (sum(record.waits_ms) / _MS_PER_S)
    return (
        load,
        str(record.answers),
        f"{waits['median']:.1f}",
        f"{waits['p99']:.1f}",
        f"{rate:.1f}" if record.mib else "",
        f"{len(checkpoints) / seconds:.1f}",
        f"{100 * paused:.1f}",
    )


if __name__ == "__main__":
    main()
