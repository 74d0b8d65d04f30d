"""The rows as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.checkpoint.summary import OF_SECONDARY

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = ("pause", "save", "collect", "resume", "commit", "loaded")
_GOAL_COPIES = 1.5


def tables(rows: list[dict[str, Any]]) -> Iterator[Table]:
    """What was measured, and what the writers say of the copying."""
    yield _phases(rows)
    loaded = [row for row in rows if row["secondary"]]
    if loaded:
        yield _secondary(loaded)
    writers = [row for row in rows if row["load"].startswith("write")]
    if writers:
        yield _copying(writers)


def _phases(rows: list[dict[str, Any]]) -> Table:
    table = _table("checkpoints: median / p99, ms", ("MiB", "CPUs"), ("load",), ("n", *_SHOWN))
    for name in ("KiB of pages", "KiB before", "KiB sent", "pages/s"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for row in rows:
        table.add_row(
            *_of_setup(row),
            str(row["checkpoints"]),
            *(f"{row[phase]['median']:.1f}/{row[phase]['p99']:.1f}" for phase in _SHOWN),
            *(f"{row[name]['median'] / 1024:.0f}" for name in ("page_bytes", "bytes_before", "bytes_sent")),
            f"{row['pages_per_s'] or 0:.0f}",
            ", ".join(f"{count} {reason}" for reason, count in row["by_reason"].items()),
        )
    return table


def _secondary(rows: list[dict[str, Any]]) -> Table:
    table = _table("the secondary: median / p99, ms", ("MiB", "CPUs"), ("load",), OF_SECONDARY)
    for row in rows:
        phases = [row["secondary"][phase] for phase in OF_SECONDARY]
        cells = [f"{phase['median']:.1f}/{phase['p99']:.1f}" for phase in phases]
        table.add_row(*_of_setup(row), *cells)
    return table


def _copying(rows: list[dict[str, Any]]) -> Table:
    title = f"(pause - save) / (dirty bytes / memcpy rate): median / p99; the goal is {_GOAL_COPIES}"
    names = ("MiB dirty", "memcpy, GiB/s", "ms to copy", "pause - save, ms", "ratio")
    table = _table(title, ("MiB", "CPUs"), ("load",), names)
    for row in rows:
        dirty, rate = row["page_bytes"]["median"], row["copy_bytes_per_s"]
        table.add_row(
            *_of_setup(row),
            f"{dirty / (1 << 20):.1f}",
            f"{rate / (1 << 30):.1f}",
            f"{dirty / rate * 1e3:.2f}",
            f"{row['pause']['median'] - row['save']['median']:.2f}",
            f"{row['copies']['median']:.2f}/{row['copies']['p99']:.2f}",
        )
    return table


def _of_setup(row: dict[str, Any]) -> tuple[str, str, str]:
    return str(row["memory_mib"]), str(row["cpus"]), row["load"]


def _table(title: str, first: tuple[str, ...], words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in (*first, *words, *numbers):
        table.add_column(name, justify="left" if name in words else "right")
    return table
