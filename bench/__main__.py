"""`make bench`: what protection costs, as a table and as JSON (bench/results/)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import click

from bench import report
from bench.checkpoint import plan
from bench.checkpoint.measure import measure, room_for
from bench.failover import measure_failovers
from bench.laboratory import about, console, guest, keep
from bench.traffic import measure_traffic

if TYPE_CHECKING:
    from colo.lab.pair import Guest


@click.command()
@click.option("--memory", "memories", type=int, multiple=True, help="MiB, instead of some sizes; may repeat.")
@click.option("--seconds", default=10.0, help="How long each load runs.")
@click.option("--failovers", default=5, help="How many failovers.")
@click.option("--qemu", default="7.2", help="Version under .cache/qemu, or a path.")
def main(memories: tuple[int, ...], seconds: float, failovers: int, qemu: str) -> None:
    """Measure pauses, traffic and failovers of a pair on this machine."""
    results = anyio.run(_measure, guest(qemu), memories, seconds, failovers)
    for table in report.tables(results):
        console.print(table)
    console.print(f"as JSON: {keep(results)}")


async def _measure(
    subject: Guest, memories: tuple[int, ...], seconds: float, failovers: int
) -> dict[str, Any]:
    results = await about(subject) | {"seconds_per_load": seconds, "checkpoints": []}
    for setup in plan.chosen(memories, (1,), ()) if memories else plan.short():
        if reason := room_for(setup):
            console.print(f"checkpoints, {setup.memory_mib} MiB: left out, {reason}")
        else:
            results["checkpoints"] += await measure(subject, setup, seconds, console.print)
    console.print("traffic, unprotected and protected ...")
    results["traffic"] = await measure_traffic(subject, seconds)
    console.print(f"failovers, {failovers} times ...")
    results["failover"] = await measure_failovers(subject, failovers)
    return results


if __name__ == "__main__":
    main()
