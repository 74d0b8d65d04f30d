"""The rows of `python -m bench.checkpoint`, without a VM."""

from __future__ import annotations

from typing import Any

import pytest
from bench.checkpoint import plan, report
from bench.checkpoint.memcpy import copy_rate
from bench.checkpoint.summary import OF_SECONDARY, PHASES, of_secondary, summary
from rich.console import Console

_GIB_PER_S = float(1 << 30)


def _checkpoint(second: int, pages: int, **phases_ms: float) -> dict[str, Any]:
    return {
        "at_ns": second * 1_000_000_000,
        "reason": "period",
        "pages": pages,
        "bytes_before": pages * 4096 + 1000,
        "bytes_sent": pages * 100,
        "state_bytes": 1000,
        **{f"{phase}_ms": phases_ms.get(phase, 1.0) for phase in PHASES},
    }


def test_a_row_has_the_written_pages_per_second_and_the_pause_in_times_of_copying_them() -> None:
    # 262,144 pages are 1 GiB, which takes 1 s to copy here.
    checkpoints = [_checkpoint(n, 262_144, pause=1500.0, save=300.0) for n in range(3)]
    row = summary(checkpoints, _GIB_PER_S)
    assert row["copies"] == {"median": 1.2, "p99": 1.2, "n": 3}
    assert row["pages_per_s"] == 262_144
    assert row["page_bytes"]["median"] == 1 << 30
    assert row["by_reason"] == {"period": 3}


def test_a_pause_that_ends_with_the_save_costs_no_copy() -> None:
    assert summary([_checkpoint(0, 0, pause=2.0, save=2.5)], _GIB_PER_S)["copies"]["median"] == 0


def test_a_single_checkpoint_gives_no_rate() -> None:
    assert summary([_checkpoint(5, 10)], _GIB_PER_S)["pages_per_s"] is None


def test_without_a_checkpoint_there_is_no_row() -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        summary([], _GIB_PER_S)


def test_the_short_plan_has_every_size_every_load_and_both_numbers_of_cpus() -> None:
    setups = plan.short()
    assert {setup.memory_mib for setup in setups} == set(plan.MEMORIES)
    assert {load for setup in setups for load in setup.loads} == set(plan.LOADS)
    assert {setup.cpus for setup in setups} == set(plan.CPUS)
    assert sum(len(setup.loads) for setup in setups) < sum(len(s.loads) for s in plan.chosen((), (), ())) / 2


def test_what_is_chosen_is_combined() -> None:
    (setup,) = plan.chosen((512,), (2,), ("idle", "GETs"))
    assert (setup.memory_mib, setup.cpus) == (512, 2)
    assert [load.name for load in setup.loads] == ["idle", "GETs"]


def test_the_tables_show_each_row_and_the_copying_of_writers_only() -> None:
    rows = [
        {"memory_mib": 256, "cpus": 1, "load": load, "copy_bytes_per_s": 1 << 33}
        | summary([_checkpoint(0, 100), _checkpoint(1, 100)], _GIB_PER_S)
        | {"secondary": {}}
        for load in ("idle", "write 10k/s")
    ]
    console = Console(width=200, record=True, quiet=True)
    first, second = report.tables(rows)
    console.print(first, second)
    assert [first.row_count, second.row_count] == [2, 1]
    assert len(list(report.tables(rows[:1]))) == 1


def test_the_secondarys_phases_are_those_of_checkpoints_that_were_loaded() -> None:
    loaded = [{f"{phase}_ms": ms for phase in OF_SECONDARY} for ms in (1.0, 3.0)]
    stored = {"received_ms": 50.0, "store_ms": 50.0, "ready_ms": 50.0}
    assert of_secondary([*loaded, stored])["store"] == {"median": 2.0, "p99": 2.98, "n": 2}
    assert of_secondary([stored]) == {}
    row = {"memory_mib": 256, "cpus": 1, "load": "idle", "secondary": of_secondary(loaded)}
    (table,) = list(report.tables([row | summary([_checkpoint(0, 1)], _GIB_PER_S)]))[1:]
    assert table.row_count == 1


def test_this_machine_copies_memory() -> None:
    assert copy_rate() > 1 << 20
