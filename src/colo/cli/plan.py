"""`colo plan`: what protecting a VM will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from colo.cli.output import format_option, is_json, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from colo.config import Config
    from colo.model.sizing.plan import Limit, Plan

T = TypeVar("T")

_MOST_MIB = 1_048_576
_OPTIONS: tuple[tuple[str, str, click.ParamType[Any], str], ...] = (
    ("--memory", "memory_mib", click.IntRange(16, _MOST_MIB), "Guest memory, MiB."),
    ("--used", "used", click.FloatRange(0, 1), "Share of its pages that ever held anything (1)."),
    ("--busy", "busy", click.FloatRange(0, 64), "Virtual CPUs that compute (all)."),
    ("--writes", "writes", click.FloatRange(0, 10_000_000), "Pages that it writes per second (0)."),
    ("--over", "over_mib", click.FloatRange(0, _MOST_MIB), "MiB that they are spread over (all memory)."),
    ("--page-bytes", "page_bytes", click.FloatRange(0, 4105), "Bytes of a written page on the link (4105)."),
    ("--in", "in_mib_s", click.FloatRange(0, 100_000), "MiB per second that clients send (0)."),
    ("--out", "out_mib_s", click.FloatRange(0, 100_000), "MiB per second that clients are sent (0)."),
    ("--requests", "requests", click.FloatRange(0, 10_000_000), "Small requests per second (0)."),
    ("--period", "period_ms", click.IntRange(0, 3_600_000), "Between checkpoints, ms; 0: when needed."),
    ("--period-mib", "period_mib", click.IntRange(0, _MOST_MIB), "Sooner, after so many MiB; 0: not."),
    ("--staging", "max_staging_mib", click.IntRange(1, _MOST_MIB), "The most that one may hold, MiB."),
    ("--mode", "mode", click.Choice(["lockstep", "epoch"]), "Which the VM is in."),
    ("--resume", "resume", click.Choice(["early", "together"]), "When the VM runs again."),
    ("--link", "mbit_s", click.FloatRange(1, 1_000_000), "Mbit per second between the hosts (10000)."),
    ("--rtt", "rtt_ms", click.FloatRange(0, 10_000), "Round trip between the hosts, ms (0.1)."),
)


def _with_options(function: Any) -> Any:  # noqa: ANN401 - click's decorators
    for option, name, kind, text in reversed(_OPTIONS):
        function = click.option(option, name, type=kind, help=text)(function)
    return function


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@_with_options
@click.option("--measure", is_flag=True, help="With this machine's speed of copying and looking for pages.")
@format_option
def command(config: Path | None, *, measure: bool, **options: Any) -> None:  # noqa: ANN401
    """Compute what protecting a VM takes: pause, link, memory and CPU of both hosts, and what has least room.

    Without CONFIG, --memory is needed. Options go before what CONFIG says; in brackets is what holds without
    either. docs/sizing.md has the formulas, and where to read what a VM does.
    """
    from colo.config import load
    from colo.model.sizing.inputs import Guest, Link, Machine, Setting
    from colo.model.sizing.plan import plan

    described = _described(load(config)) if config else {}
    if options["memory_mib"] is None and config is None:
        raise click.UsageError("give CONFIG, or --memory (MiB, 16 to 1048576).")
    if options["mode"] is not None:
        options["epochs"] = options["mode"] == "epoch"
    planned = plan(
        _of(Guest, described, options),
        _of(Setting, described, options),
        _of(Link, options),
        _of(Machine, _measured() if measure else {}),
    )
    if is_json():
        print_json(planned)
    else:
        _show(planned)


def _of(cls: type[T], *sources: Mapping[str, Any]) -> T:
    """With what the sources know of its fields, the last one first."""
    from attrs import fields_dict

    known = fields_dict(cls)  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for source in sources:
        found |= {name: value for name, value in source.items() if name in known and value is not None}
    return cls(**found)


def _described(config: Config) -> dict[str, Any]:
    from attrs import asdict

    return {
        **asdict(config.checkpoint, recurse=False),
        **asdict(config.timing, recurse=False),
        "memory_mib": config.vm.memory_mib,
        "busy": float(config.vm.cpus),
        "epochs": config.checkpoint.mode == "epoch",
        "shadow": config.checkpoint.encoding != "none",
    }


def _measured() -> dict[str, Any]:
    from attrs import asdict

    from colo.check.speed import measure

    return asdict(measure())


def _show(planned: Plan) -> None:
    print_pairs(rows(planned))
    click.echo()
    print_table(("limit", "needed", "at most", "share"), [_limit(limit) for limit in planned.limits])


def rows(planned: Plan) -> dict[str, object]:
    """The table for people."""
    every = "only when needed" if planned.interval_ms is None else f"every {planned.interval_ms:,.0f} ms"
    return {
        "checkpoint": f"{every} ({planned.trigger}), {planned.checkpoint_pages:,.0f} pages",
        "pause": f"{_sum(planned.pause_parts_ms, 'ms')}; {planned.stopped_percent:.1f} % of the time",
        "answer that differs": f"waits {planned.differing_ms:,.0f} ms",
        "no agreement for": f"{planned.disagree_ms:,.0f} ms of each checkpoint",
        "link": _sum(planned.link_parts_mbit_s, "Mbit/s"),
        "link, back": _sum(planned.link_back_mbit_s, "Mbit/s"),
        "primary": _sum(planned.primary_mib, "MiB", 0),
        "secondary": _sum(planned.secondary_mib, "MiB", 0),
        "primary, CPUs": _sum(planned.primary_cpus, "", 2),
        "secondary, CPUs": _sum(planned.secondary_cpus, "", 2),
        "first copy": f"{planned.first_sync_s:,.1f} s",
        "writes": f"slowed down to {planned.writes_per_s:,.0f} pages/s" if planned.slowed else None,
        "fits": f"{'yes' if planned.fits else 'no'}, least room: {planned.binds}",
    }


def _sum(parts: dict[str, float], unit: str, digits: int = 1) -> str:
    """`8.1 ms (6.0 save and collect, 1.4 resume, 0.7 steps)`."""
    total = f"{sum(parts.values()):,.{digits}f} {unit}".rstrip()
    return f"{total} ({', '.join(f'{value:,.{digits}f} {name}' for name, value in parts.items())})"


def _limit(limit: Limit) -> tuple[str, ...]:
    return limit.name, f"{limit.value:,.1f}", f"{limit.most:,.0f}", f"{100 * limit.share:.1f} %"
