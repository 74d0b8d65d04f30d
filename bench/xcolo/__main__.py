"""`make bench-xcolo`: QEMU's own COLO and ours, side by side."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from attrs import asdict

from bench.laboratory import about, console, guest, keep
from bench.xcolo.attempt import attempt
from bench.xcolo.figures import LOOPBACK, NAMES, SLOW
from bench.xcolo.ours import Colo
from bench.xcolo.report import table
from bench.xcolo.system import Case, System
from bench.xcolo.theirs import XColo
from colo.lab.impairment import Impairment

if TYPE_CHECKING:
    from bench.xcolo.figures import Attempt

_SYSTEMS: dict[str, type[System]] = dict(zip(NAMES, (XColo, Colo), strict=True))
_LINKS = {LOOPBACK: None, SLOW: Impairment(delay_ms=2, rate_mbit=1000, offloads=True)}
_MEMORIES = (256, 4096)


@click.command()
@click.option("--memory", "memories", type=int, multiple=True, default=_MEMORIES, help="MiB; may repeat.")
@click.option("--link", "links", type=click.Choice([*_LINKS]), multiple=True, default=[*_LINKS])
@click.option("--attempts", default=3, show_default=True, help="Of each system, each with a new pair.")
@click.option("--seconds", default=8.0, show_default=True, help="Of idleness, and of each load once settled.")
@click.option("--period", default=500, show_default=True, help="A checkpoint every so many ms.")
@click.option("--qemu", default="7.2", show_default=True, help="Version under .cache/qemu, or a path.")
@click.option("--aligned", is_flag=True, help="x-colo's RAM a multiple of 256 KiB: it then misses pages.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Instead of bench/results/TIME.json.")
def main(
    *,
    memories: tuple[int, ...],
    links: tuple[str, ...],
    attempts: int,
    seconds: float,
    period: int,
    qemu: str,
    aligned: bool,
    file: Path | None,
) -> None:
    """Measure first sync, idle pause and differing answers of both systems, in turn; needs root."""
    subject = guest(qemu)
    results = anyio.run(about, subject) | {"period_ms": period, "seconds_per_load": seconds, "cases": []}
    cases: dict[tuple[int, str], dict[str, list[Attempt]]] = {}
    for memory, link in product(memories, links):
        case = Case(subject, memory, _LINKS[link], period, seconds, odd=not aligned)
        cases[memory, link] = _both(case, link, attempts)
        results["cases"].append(_plain(case, link, cases[memory, link]))
        keep(results, "xcolo-", file)  # what there is, should one of the next fail
    console.print(table(cases))
    console.print(f"as JSON: {keep(results, 'xcolo-', file)}")


def _both(case: Case, link: str, attempts: int) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    for number, (name, kind) in product(range(attempts), _SYSTEMS.items()):
        console.print(f"{case.memory_mib} MiB, {link}, attempt {number + 1}: {name} ...", highlight=False)
        found[name].append(anyio.run(attempt, kind, case))
        if ended := found[name][-1].ended:
            console.print(f"  {ended}", markup=False)
    return found


def _plain(case: Case, link: str, sides: dict[str, list[Attempt]]) -> dict[str, Any]:
    lists = {name: [asdict(one) for one in found] for name, found in sides.items()}
    return {"memory_mib": case.memory_mib, "link": link, "odd": case.odd, **lists}


if __name__ == "__main__":
    main()
