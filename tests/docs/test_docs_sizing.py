"""docs/sizing.md: its figures are the program's, and what its tables say of the model, the model says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from attrs import asdict
from bench.checkpoint.plan import LOADS
from rendered import DOCS
from test_docs_model import rows

from colo.cli.plan import command
from colo.model.sizing.inputs import Guest, Link, Machine, Setting
from colo.model.sizing.plan import plan

if TYPE_CHECKING:
    from colo.model.sizing.plan import Plan

TEXT = (DOCS / "sizing.md").read_text()
LOAD = {load.name: load for load in LOADS}
COMPARED = list(rows(TEXT, "## Model against measured"))
MEMORY, CPUS, FIRST = (
    next(line for line in TEXT.splitlines() if line.startswith(f"**{what}"))
    for what in ("Memory**", "Processors,**", "The first copy**")
)
MOST_OFF = 0.3
USED_MIB = {"256": 90, "1024": 105, "4096": 160, "8192": 240}
"""Of a guest of that size that has booted; its writer's memory comes on top."""


def _plan(memory: str, cpus: str, load: str, period: str, link: str, used: float | None = None) -> Plan:
    what = LOAD[load]
    if used is None:
        used = min((USED_MIB[memory] + (what.over_mib or 0)) / int(memory), 1.0)
    guest = Guest(int(memory), used, 0.0, what.pages_per_s, what.over_mib, page_bytes=22)
    assert cpus in {"1", "2"}, "the model makes no difference"
    mbit = Link(1e6, 0.05) if link == "loopback" else Link(float(link), 4.0)
    return plan(guest, Setting(period_ms=float(period), period_mib=0), mbit, Machine())


def _near(cell: str, computed: float, digits: int) -> bool:
    """What the document says of the model is what it says, and near what was measured."""
    model, measured = _pair(cell)
    assert model == round(computed, digits), f"{cell}: the model says {computed:.{digits}f}"
    return abs(model / measured - 1) <= MOST_OFF


def _pair(cell: str) -> tuple[float, float]:
    model, measured = cell.replace(",", "").split(" / ")
    return float(model), float(measured)


def test_every_figure_is_the_models_and_none_is_missing() -> None:
    documented = {name: float(value) for name, value, *_ in rows(TEXT, "## The figures")}
    assert documented == {f"`{name}`": value for name, value in asdict(Machine()).items()}


@pytest.mark.parametrize("row", COMPARED, ids=lambda row: " ".join(row[:5]))
def test_what_the_model_says_is_computed_and_near_what_was_measured(row: list[str]) -> None:
    planned = _plan(*row[:5])
    pages, pause, commit, through, off = row[5:10]
    assert _near(pages, planned.checkpoint_pages, 0) or row[2] == "idle"
    assert _near(pause, planned.pause_ms, 1)
    assert _near(commit, planned.commit_ms, 1)
    assert _near(through, planned.disagree_ms, 1)
    most = max(abs(model / measured - 1) for model, measured in map(_pair, (pause, commit, through)))
    assert abs(float(off.rstrip(" %")) - 100 * most) < 1.5, "what is shown is rounded"


@pytest.mark.parametrize("row", list(rows(TEXT, MEMORY)), ids=lambda row: " ".join(row[:4]))
def test_its_memory_is_near_what_was_measured(row: list[str]) -> None:
    planned = _plan(*row[:5], used=float(row[5]))
    for cell, parts in zip(row[6:], (planned.primary_mib, planned.secondary_mib), strict=True):
        assert _near(cell, sum(parts.values()) - parts["guest RAM"], 0)


@pytest.mark.parametrize("row", list(rows(TEXT, CPUS)), ids=lambda row: " ".join(row[:2]))
def test_its_processor_time_is_near_what_was_measured(row: list[str]) -> None:
    planned = _plan(row[0], "1", "idle", row[1], "loopback")
    for cell, parts in zip(row[2:], (planned.primary_cpus, planned.secondary_cpus), strict=True):
        assert _near(cell, 1000 * sum(parts.values()), 0)


@pytest.mark.parametrize("row", list(rows(TEXT, FIRST)), ids=lambda row: row[0])
def test_its_first_copy_is_near_what_was_measured(row: list[str]) -> None:
    used = float(row[1]) / int(row[0]) * 4096 / 4105
    assert _near(row[2], _plan(row[0], "1", "idle", "2000", "loopback", used).first_sync_s, 2)


def test_the_rows_were_found() -> None:
    assert len(COMPARED) > 10
    assert {row[0] for row in COMPARED} == {"256", "1024", "4096", "8192"}


def test_every_option_that_is_documented_exists_and_the_other_way_round() -> None:
    documented = set(re.findall(r"`(--[\w-]+)`", TEXT.split("## What is put in")[1].split("##")[0]))
    known = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    assert documented | {"--measure", "--format"} == known
