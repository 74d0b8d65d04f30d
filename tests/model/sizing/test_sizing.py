"""What a plan says: the parts add up, and more of anything never takes less."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colo.model.sizing.inputs import Guest, Link, Machine, Setting
from colo.model.sizing.plan import Plan, plan

GUEST, SETTING, LINK, MACHINE = Guest(1024, used=0.3), Setting(), Link(), Machine()


def _plan(**differs: Any) -> Plan:
    parts = [GUEST, SETTING, LINK, MACHINE]
    for number, part in enumerate(parts):
        names = {field.name for field in part.__attrs_attrs__}
        parts[number] = evolve(part, **{name: value for name, value in differs.items() if name in names})
    return plan(*parts)  # type: ignore[arg-type]


def _takes(planned: Plan) -> dict[str, float]:
    """All that one would rather have less of."""
    return {
        "pause": planned.pause_ms,
        "commit": planned.commit_ms,
        "through": planned.disagree_ms,
        "pages": planned.checkpoint_pages,
        "primary's memory": sum(planned.primary_mib.values()),
        "secondary's memory": sum(planned.secondary_mib.values()),
        "first copy": planned.first_sync_s,
    }


guests = st.builds(
    Guest,
    memory_mib=st.integers(16, 1 << 20),
    used=st.floats(0, 1),
    writes=st.floats(0, 1e7),
    over_mib=st.none() | st.floats(0, 1 << 20),
    page_bytes=st.floats(0, 4105),
    in_mib_s=st.floats(0, 1e5),
    out_mib_s=st.floats(0, 1e5),
)
settings = st.builds(
    Setting,
    period_ms=st.floats(0, 3_600_000),
    period_mib=st.integers(0, 1 << 20),
    max_staging_mib=st.integers(1, 1 << 20),
    resume=st.sampled_from(["early", "together"]),
    epochs=st.booleans(),
    paused_percent=st.integers(2, 100),
)
links = st.builds(Link, mbit_s=st.floats(1, 1e6), rtt_ms=st.floats(0, 1e4))


def test_an_idle_vm_has_a_checkpoint_each_period_and_room_everywhere() -> None:
    planned = _plan()
    assert planned.trigger == "period"
    assert planned.interval_ms is not None
    assert planned.interval_ms == pytest.approx(SETTING.period_ms + planned.disagree_ms)
    assert planned.fits
    assert planned.pause_ms == pytest.approx(sum(planned.pause_parts_ms.values()))


def test_without_a_period_an_idle_vm_has_none() -> None:
    planned = _plan(period_ms=0)
    assert (planned.trigger, planned.interval_ms) == ("need", None)
    assert planned.stopped_percent == planned.link_parts_mbit_s["checkpoints"] == 0


def test_a_page_written_again_counts_once() -> None:
    often, rarely = (_plan(writes=1e5, over_mib=8, period_ms=period) for period in (500, 5000))
    assert often.checkpoint_pages == rarely.checkpoint_pages == 50 + 8 * 256


def test_a_vm_that_writes_half_of_what_fits_has_its_checkpoint_then() -> None:
    planned = _plan(writes=1000, max_staging_mib=8)
    assert planned.trigger == "memory"
    assert planned.interval_ms is not None
    assert 1024 <= planned.interval_ms < SETTING.period_ms, "1,024 pages are half of 8 MiB"


def test_a_vm_that_writes_much_has_its_checkpoint_before_the_period_is_over() -> None:
    planned = _plan(writes=5000)
    assert planned.trigger == "written"
    assert planned.interval_ms is not None
    enough = SETTING.period_mib * 256
    assert enough / 5000 * 1000 <= planned.interval_ms < enough / 5000 * 1000 + planned.disagree_ms
    assert planned.checkpoint_pages == pytest.approx(enough, rel=0.05)
    assert _plan(writes=5000, period_mib=0).trigger == "period"


def test_a_vm_that_writes_faster_than_the_link_carries_is_slowed_down_to_what_it_carries() -> None:
    planned = _plan(writes=100_000, mbit_s=1000)
    assert planned.slowed
    assert not planned.fits
    assert 0 < planned.writes_per_s < 1000e6 / 8 / 4096
    assert planned.link_parts_mbit_s["checkpoints"] < 1000


def test_the_pause_does_not_wait_for_the_link_unless_both_resume_together() -> None:
    slow, fast = (_plan(writes=10_000, over_mib=64, mbit_s=mbit) for mbit in (1000, 100_000))
    assert slow.pause_ms < fast.pause_ms * 1.1, "only because there are more pages"
    assert _plan(writes=10_000, over_mib=64, mbit_s=1000, resume="together").pause_ms > 2 * slow.pause_ms


def test_in_epochs_the_copy_computes_nothing_and_any_answer_waits() -> None:
    lockstep, epochs = (_plan(epochs=epochs, out_mib_s=10) for epochs in (False, True))
    assert epochs.secondary_cpus["virtual CPUs"] == 0 < lockstep.secondary_cpus["virtual CPUs"]
    assert epochs.link_back_mbit_s["frames of the copy"] == 0
    assert epochs.stopped_percent <= SETTING.paused_percent + 1e-6
    assert epochs.differing_ms > epochs.commit_ms


def test_what_has_least_room_is_named() -> None:
    assert _plan(out_mib_s=1e4).binds == "Mbit/s on the link"
    assert not _plan(out_mib_s=1e4).fits
    assert _plan(memory_mib=1 << 20, copy_mib_s=10).binds in {"ms of pause", "ms of a checkpoint"}


def test_the_first_copy_takes_what_the_link_needs_for_the_pages_in_use() -> None:
    planned = _plan(memory_mib=4096, used=0.5, mbit_s=1000)
    assert planned.first_sync_s == pytest.approx(2048 * 4105 / 4096 * 8 * 1.048576 / 1000, rel=0.05)


@pytest.mark.parametrize("name", ["writes", "memory_mib", "used", "page_bytes"])
@given(guest=guests, setting=settings, link=links, factor=st.floats(1, 10))
def test_more_of_anything_never_takes_less(
    name: str, guest: Guest, setting: Setting, link: Link, factor: float
) -> None:
    more = getattr(guest, name) * factor
    grown = evolve(guest, **{name: min(int(more), 1 << 20) if name == "memory_mib" else more})
    if name == "used":
        grown = evolve(grown, used=min(grown.used, 1.0))
    before, after = (_takes(plan(one, setting, link, MACHINE)) for one in (guest, grown))
    less = {key for key in before if after[key] < before[key] * (1 - 1e-9) - 1e-9}
    assert less <= ({"first copy"} if name in {"writes", "memory_mib"} else set())


@given(guest=guests, setting=settings, link=links, factor=st.floats(1, 10))
def test_a_faster_link_never_makes_a_longer_pause_or_wait(
    guest: Guest, setting: Setting, link: Link, factor: float
) -> None:
    slow, fast = (plan(guest, setting, evolve(link, mbit_s=link.mbit_s * n), MACHINE) for n in (1, factor))
    if slow.trigger == fast.trigger == "period" and not (slow.slowed or fast.slowed):
        assert fast.pause_ms <= slow.pause_ms + 1e-9
        assert fast.commit_ms <= slow.commit_ms + 1e-9


@given(guest=guests, setting=settings, link=links)
def test_every_vm_has_a_plan_whose_limits_say_whether_it_fits(
    guest: Guest, setting: Setting, link: Link
) -> None:
    planned = plan(guest, setting, link, MACHINE)
    assert planned.fits is (not planned.slowed and max(limit.share for limit in planned.limits) <= 1)
    assert 0 <= planned.writes_per_s <= guest.writes
    assert planned.checkpoint_pages <= setting.max_staging_mib * 256
    assert all(value >= 0 for value in (*_takes(planned).values(), planned.stopped_percent))
    assert planned.stopped_percent <= 100
