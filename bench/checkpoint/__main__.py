"""The command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import anyio
import click

from bench.checkpoint import plan, report
from bench.checkpoint.measure import PERIOD_MS, measure, room_for
from bench.laboratory import about, console, guest, keep
from colo.lab.impairment import Impairment
from colo.lab.pair import Options
from colo.model.compression import Encoding

if TYPE_CHECKING:
    from bench.checkpoint.plan import Setup
    from colo.lab.pair import Guest

_DELAY_MS = 2.0


@click.command()
@click.option("--full", is_flag=True, help="All loads with all sizes and CPUs: about half an hour.")
@click.option("--memory", "memories", type=int, multiple=True, help="MiB; may repeat.")
@click.option("--cpus", type=int, multiple=True, help="Virtual CPUs; may repeat.")
@click.option("--load", "loads", multiple=True, type=click.Choice([load.name for load in plan.LOADS]))
@click.option("--seconds", default=10.0, show_default=True, help="How long each load is measured.")
@click.option("--period", default=PERIOD_MS, show_default=True, help="A checkpoint every so many ms.")
@click.option("--encoding", type=click.Choice(get_args(Encoding)), default="auto", show_default=True)
@click.option("--link", "mbit", type=float, help="Mbit per second between the hosts, 2 ms each way.")
@click.option("--qemu", default="7.2", show_default=True, help="Version under .cache/qemu, or a path.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Instead of bench/results/TIME.json.")
def main(
    *,
    full: bool,
    memories: tuple[int, ...],
    cpus: tuple[int, ...],
    loads: tuple[str, ...],
    seconds: float,
    qemu: str,
    file: Path | None,
    **differs: Any,  # noqa: ANN401 - the options that say how the pair differs from a usual one
) -> None:
    """Measure pause, commit and bytes of checkpoints.

    With --memory, --cpus or --load: all combinations of these.
    """
    some = full or memories or cpus or loads
    setups = plan.chosen(memories, cpus, loads) if some else plan.short()
    subject = guest(qemu)
    others = _options(**differs)
    results = anyio.run(about, subject) | {"seconds_per_load": seconds, "checkpoints": []}
    for setup in setups:
        results["checkpoints"] += _rows(subject, setup, seconds, others)
        keep(results, file=file)  # what there is, should one of the next fail
    for table in report.tables(results["checkpoints"]):
        console.print(table)
    console.print(f"as JSON: {keep(results, file=file)}")


def _options(period: int, encoding: str, mbit: float | None) -> Options:
    link = None if mbit is None else Impairment(delay_ms=_DELAY_MS, rate_mbit=mbit, offloads=True)
    # By time alone, so that a writer's rate decides how many pages there are.
    return Options(checkpoint={"period_ms": period, "period_mib": 0, "encoding": encoding}, link=link)


def _rows(subject: Guest, setup: Setup, seconds: float, others: Options) -> list[dict[str, Any]]:
    if reason := room_for(setup):
        console.print(f"{setup.memory_mib} MiB: left out, {reason}")
        return []
    console.print(f"{setup.memory_mib} MiB, {setup.cpus} CPU: booting and protecting ...")
    return anyio.run(partial(measure, subject, setup, seconds, console.print, others))


if __name__ == "__main__":
    main()
