"""`make bench-compare`: frames per second and CPU per frame, QEMU's colo-compare and ours side by side."""

from __future__ import annotations

import platform
import re
import subprocess
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console

from bench.compare.feed import Outcome, feed
from bench.compare.frames import Burst, Load, bursts
from bench.compare.report import table
from bench.compare.subjects import Ours, Theirs, build, running
from bench.laboratory import keep, program

_PAYLOADS = (64, 1460)
_FLOWS = (1, 100, 10_000)
_TURNS = 3
"""At least so often each flow sends."""
_console = Console(width=140)


@click.command()
@click.option("--qemu", default="7.2", help="Version under .cache/qemu, or a path.")
@click.option("--frames", default=60_000, help="Frames of the primary in a run, at least.")
@click.option("--runs", default=3, help="Runs of each; the median counts.")
def main(qemu: str, frames: int, runs: int) -> None:
    """Feed both the same frames, in turn, and compare what that costs them."""
    path = program(qemu)
    subjects = (Theirs(path), Ours(build("colo-relay", "compare_sockets")))
    results: dict[str, Any] = {
        "when": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "versions": {"qemu": _version(path), "kernel": platform.release()},
        "runs": runs,
        "rows": [],
    }
    for payload, flows, same in product(_PAYLOADS, _FLOWS, (True, False)):
        load = Load(payload, flows, same, max(frames, _TURNS * 4 * flows))
        results["rows"].append(_row(load, subjects, runs))
        _console.print(".", end="")
    results["alone"] = _alone()
    _console.print()
    _console.print(table(results))
    _console.print(*(f"the crate alone: {line}" for line in results["alone"]), sep="\n")
    _console.print(f"as JSON: {keep(results, 'compare-')}")


def _row(load: Load, subjects: tuple[Theirs, Ours], runs: int) -> dict[str, Any]:
    wires = bursts(load)
    outcomes: dict[str, list[Outcome]] = {subject.name: [] for subject in subjects}
    for _ in range(runs):
        for subject in subjects:
            outcomes[subject.name].append(_run(subject, wires))
    return {
        "payload": load.payload,
        "flows": load.flows,
        "same_segmentation": load.same,
        "frames": outcomes[subjects[0].name][0].expected,
        **{name: _summary(found) for name, found in outcomes.items()},
    }


def _run(subject: Theirs | Ours, wires: list[Burst]) -> Outcome:
    with TemporaryDirectory(prefix="colo-bench-") as folder, running(subject, Path(folder)) as started:
        return feed(started, wires)


def _summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Rates of the runs that went through; `missing`: frames that did not come out, in each run."""
    done = [outcome for outcome in outcomes if outcome.complete]
    missing = [outcome.expected - outcome.frames for outcome in outcomes]
    if not done:
        return {"missing": missing}
    return {
        "frames_per_s": round(median(outcome.frames / outcome.seconds for outcome in done)),
        "frames_per_cpu_s": round(median(outcome.frames / outcome.cpu_s for outcome in done)),
        "missing": missing,
    }


def _alone() -> list[str]:
    """What the comparison itself does, in memory, in the words of its own measurement."""
    program = build("colo-compare", "throughput")
    lines = []
    for flows in _FLOWS:
        done = subprocess.run([program, str(flows), "1460"], check=True, capture_output=True, text=True)
        lines += done.stdout.splitlines()
    return lines


def _version(qemu: Path) -> str:
    done = subprocess.run([qemu, "--version"], check=True, capture_output=True, text=True)
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else "unknown"


if __name__ == "__main__":
    main()
