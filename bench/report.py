"""The results as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.checkpoint import report as checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterator


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """Of all parts that were measured."""
    yield _machine(results)
    if "checkpoints" in results:
        yield from checkpoints.tables(results["checkpoints"])
    if "traffic" in results:
        yield _traffic(results["traffic"])
    if "failover" in results:
        yield _failover(results["failover"])


def _machine(results: dict[str, Any]) -> Table:
    table = Table(title="machine and versions", title_justify="left")
    rows = {**results["machine"], **results["versions"]}
    for name in rows:
        table.add_column(name)
    table.add_row(*(str(value) for value in rows.values()))
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
