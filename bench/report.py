"""The results as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE_KIB = 4


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """All of them."""
    yield _machine(results)
    yield _checkpoints(results["checkpoints"])
    yield _traffic(results["traffic"])
    yield _failover(results["failover"])


def _machine(results: dict[str, Any]) -> Table:
    table = Table(title="machine and versions", title_justify="left")
    rows = {**results["machine"], **results["versions"]}
    for name in rows:
        table.add_column(name)
    table.add_row(*(str(value) for value in rows.values()))
    return table


def _checkpoints(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="checkpoints: median / p99, ms", title_justify="left")
    phases = ("pause", "prepare", "save", "collect", "resume", "commit", "loaded")
    for name in ("MiB", "load", "n", *phases, "KiB pages", "KiB state", "why"):
        table.add_column(name, justify="left" if name in {"load", "why"} else "right")
    for row in rows:
        table.add_row(
            str(row["memory_mib"]),
            row["load"],
            str(row["checkpoints"]),
            *(f"{row[phase]['median']:.1f} / {row[phase]['p99']:.1f}" for phase in phases),
            f"{row['pages']['median'] * _PAGE_KIB:.0f}",
            f"{row['state_bytes'] / 1024:.0f}",
            ", ".join(f"{count} {reason}" for reason, count in row["by_reason"].items()),
        )
    return table


def _traffic(results: dict[str, Any]) -> Table:
    table = Table(title="what a client feels of each VM", title_justify="left")
    for name in ("", "GET p50, ms", "GET p99, ms", "GETs", "download, MiB/s", "downloads"):
        table.add_column(name, justify="right")
    for name in ("alone", "side by side", "protected"):
        row = results[name]
        get = row["get_ms"]
        table.add_row(
            name,
            f"{get['median']:.2f}",
            f"{get['p99']:.2f}",
            str(get["n"]),
            f"{row['mib_per_s']:.1f}",
            str(row["downloads"]),
        )
    ratio = results["ratio"]
    columns = (str(ratio["get_p50"]), str(ratio["get_p99"]), "", str(ratio["mib_per_s"]), "")
    table.add_row("protected / side by side", *columns)
    return table


def _failover(results: dict[str, Any]) -> Table:
    table = Table(title="failover: the longest wait of a client for an answer, ms", title_justify="left")
    for name in ("median", "p99", "n", "all"):
        table.add_column(name)
    outage = results["outage_ms"]
    table.add_row(str(outage["median"]), str(outage["p99"]), str(outage["n"]), str(results["all_ms"]))
    return table
