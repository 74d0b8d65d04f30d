"""The results as a table for people."""

from __future__ import annotations

from typing import Any

from rich.table import Table

GOAL = 5
"""Times colo-compare's frames per CPU second."""
_NAMES = ("colo-compare", "colo")


def table(results: dict[str, Any]) -> Table:
    """One row for each load. CPU: all threads, user and system time, by frames of the primary."""
    versions = results["versions"]
    title = f"frames of the primary: QEMU {versions['qemu']}'s colo-compare and colo (goal: {GOAL} times)"
    found = Table(title=title, title_justify="left")
    for name in ("payload", "flows", "cut alike", "frames"):
        found.add_column(name, justify="right")
    for name in _NAMES:
        found.add_column(f"{name}: frames/s", justify="right")
        found.add_column("CPU, us/frame", justify="right")
    found.add_column("times per CPU second", justify="right")
    for row in results["rows"]:
        cells = [str(row["payload"]), str(row["flows"]), "yes" if row["same_segmentation"] else "no"]
        found.add_row(*cells, str(row["frames"]), *_costs(row), _times(row))
    return found


def _costs(row: dict[str, Any]) -> list[str]:
    cells = []
    for name in _NAMES:
        side = row[name]
        if "frames_per_s" not in side:
            cells += [f"lost {min(side['missing'])} or more", ""]
            continue
        runs = sum(1 for missing in side["missing"] if missing)
        note = f" ({runs} incomplete)" if runs else ""
        cells += [f"{side['frames_per_s']:,}{note}", f"{1e6 / side['frames_per_cpu_s']:.2f}"]
    return cells


def _times(row: dict[str, Any]) -> str:
    rates = [row[name].get("frames_per_cpu_s") for name in _NAMES]
    return f"{rates[1] / rates[0]:.1f}" if all(rates) else ""
