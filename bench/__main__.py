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

PARTS = ("checkpoints", "traffic", "failover")


@click.command()
@click.option("--memory", "memories", type=int, multiple=True, help="MiB, instead of some sizes; may repeat.")
@click.option("--seconds", default=10.0, help="How long each load runs.")
@click.option("--failovers", default=5, help="How many failovers.")
@click.option("--qemu", default="7.2", help="Version under .cache/qemu, or a path.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, default=PARTS, help="May repeat.")
def main(memories: tuple[int, ...], seconds: float, failovers: int, qemu: str, only: tuple[str, ...]) -> None:
    """Measure pauses, traffic and failovers of a pair on this machine."""
    results = anyio.run(_measure, guest(qemu), memories, seconds, failovers, only)
    for table in report.tables(results):
        console.print(table)
    console.print(f"as JSON: {keep(results)}")


async def _measure(
    subject: Guest, memories: tuple[int, ...], seconds: float, failovers: int, only: tuple[str, ...]
) -> dict[str, Any]:
    results = await about(subject) | {"seconds_per_load": seconds}
    if "checkpoints" in only:
        results["checkpoints"] = await _checkpoints(subject, memories, seconds)
    if "traffic" in only:
        console.print("traffic, unprotected and protected ...")
        results["traffic"] = await measure_traffic(subject, seconds)
    if "failover" in only:
        console.print(f"failovers, {failovers} times ...")
        results["failover"] = await measure_failovers(subject, failovers)
    return results


async def _checkpoints(subject: Guest, memories: tuple[int, ...], seconds: float) -> list[dict[str, Any]]:
    rows = []
    for setup in plan.chosen(memories, (1,), ()) if memories else plan.short():
        if reason := room_for(setup):
            console.print(f"checkpoints, {setup.memory_mib} MiB: left out, {reason}")
        else:
            rows += await measure(subject, setup, seconds, console.print)
    return rows


if __name__ == "__main__":
    main()
