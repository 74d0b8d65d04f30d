"""Simulated VMs that write: a checkpoint comes in time, and looks cost little."""

from __future__ import annotations

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from colo.model.checkpoint.events import Reason, Trigger
from colo.model.memory_limit import FASTEST_PER_S, HALT_NS, MOST_STOPPED, MemoryLimit

_S = 1_000_000_000
_MS = 1_000_000
_STAGING = 262_144
_LOOK_NS_PER_PAGE = 2.3
"""0.6 ms for each GiB."""


@define
class _World:
    """A VM of `area` pages that writes new ones at a rate, and checkpoints that carry them over a link."""

    writes_per_s: float
    area: int = 1 << 20
    staging: int = _STAGING
    link_per_s: float = 100_000.0
    look_ns: int = 3 * _MS
    period_ns: int = 2 * _S
    starts_ns: int = 0
    enough: int = 0
    cuts: list[int] = field(factory=list)
    sent: list[int] = field(factory=list)
    looks: int = 0
    stopped_ns: int = 0
    asked: int = 0
    _written: float = 0.0
    _arrives: int | None = None

    def run(self, seconds: float) -> MemoryLimit:
        limit = MemoryLimit(self.staging, 5 * _S // 2, self.enough, 0)
        limit.link(_S / self.link_per_s)
        now, due, wanted = 0, self.period_ns, False
        while now < seconds * _S:
            if self._arrives is not None and now >= self._arrives:
                self._arrives, due = None, now + self.period_ns
            if self._arrives is None and (wanted or now >= due):
                wanted = False
                self._cut(limit, now)
            if now >= limit.next_look:
                self.looks += 1
                verdict = limit.looked(
                    int(self._written), self.look_ns, now, in_flight=self._arrives is not None
                )
                wanted = wanted or bool(verdict.ask)
                self.asked += bool(verdict.ask)
                if self._arrives is not None:
                    stopped = min(verdict.stop_ns, self._arrives - now)
                    self.stopped_ns += stopped
                    now += stopped
            step = _MS
            now += step
            if now >= self.starts_ns:
                self._written = min(self._written + self.writes_per_s * step / _S, self.area)
        return limit

    def _cut(self, limit: MemoryLimit, now: int) -> None:
        self.cuts.append(int(self._written))
        self.sent.append(int(self._written / self.link_per_s * _S))
        self._arrives = now + self.sent[-1] + 30 * _MS
        self._written = 0.0
        limit.cut(self.cuts[-1], now)


def test_a_quiet_vm_is_never_asked_for_a_checkpoint_and_looked_at_twice_a_second() -> None:
    world = _World(100.0)
    world.run(60)
    assert (world.asked, world.stopped_ns) == (0, 0)
    assert world.looks <= 60 * 2 + len(world.cuts)


@pytest.mark.parametrize("writes_per_s", [300_000.0, FASTEST_PER_S])
def test_a_checkpoint_comes_at_half_of_what_it_may_hold(writes_per_s: float) -> None:
    world = _World(writes_per_s, link_per_s=3_000_000.0)
    world.run(20)
    assert world.asked > 10
    assert world.stopped_ns == 0
    assert all(cut <= 0.7 * _STAGING for cut in world.cuts), max(world.cuts)


def test_a_vm_that_begins_to_write_from_one_moment_to_the_next_is_caught_in_time() -> None:
    world = _World(FASTEST_PER_S, link_per_s=3_000_000.0, period_ns=3600 * _S, starts_ns=7 * _S)
    world.run(9)
    assert world.cuts
    assert world.cuts[0] <= 0.6 * _STAGING


def test_what_the_link_does_not_carry_in_time_does_not_fit_either() -> None:
    world = _World(30_000.0, link_per_s=28_000.0)  # 1 Gbit/s
    limit = world.run(60)
    assert limit.most == pytest.approx(2.5 * 28_000, rel=0.05)
    assert all(ns <= 2.6 * _S for ns in world.sent), max(world.sent)


def test_a_vm_that_writes_more_than_the_link_carries_is_slowed_down_and_fits() -> None:
    world = _World(200_000.0, link_per_s=28_000.0)
    world.run(60)
    assert world.stopped_ns > 20 * _S
    assert all(ns <= 2.6 * _S for ns in world.sent), max(world.sent)


@pytest.mark.parametrize(
    ("pages", "stopped"), [(500, 0.0), (625, MOST_STOPPED / 2), (750, MOST_STOPPED), (874, MOST_STOPPED)]
)
def test_the_nearer_the_limit_the_longer_the_vm_is_stopped(pages: int, stopped: float) -> None:
    limit = MemoryLimit(1000, _S, 0, 0)
    verdict = limit.looked(pages, _MS, _S, in_flight=True)
    assert verdict.stop_ns / (limit.next_look - _S) == pytest.approx(stopped)


def test_a_vm_that_has_hardly_any_room_left_stands_still() -> None:
    limit = MemoryLimit(1000, _S, 0, 0)
    assert limit.looked(875, _MS, _S, in_flight=True).stop_ns == HALT_NS


def test_between_checkpoints_nobody_is_slowed_down() -> None:
    limit = MemoryLimit(_STAGING, _S, 0, 0)
    limit.cut(0, 0)
    verdict = limit.looked(_STAGING, _MS, _S, in_flight=False)
    assert verdict.ask
    assert verdict.stop_ns == 0


def test_it_asks_from_half_on_and_says_how_much_it_is() -> None:
    limit = MemoryLimit(1000, _S, 0, 0)
    asked = [limit.looked(pages, _MS, pages, in_flight=False).ask for pages in (499, 500, 600)]
    why = "{} pages are written, a checkpoint may hold 1000"
    assert asked == [None, *(Trigger(Reason.MEMORY, why.format(pages)) for pages in (500, 600))]


def test_what_is_enough_for_one_ends_the_period_unless_one_is_in_flight() -> None:
    limit = MemoryLimit(_STAGING, _S, 1000, 0)
    looks = [(999, False), (1000, False), (1000, True)]
    asked = [limit.looked(pages, _MS, _S, in_flight=in_flight).ask for pages, in_flight in looks]
    assert asked == [None, Trigger(Reason.PERIOD, "1000 pages are written"), None]


@pytest.mark.parametrize("writes_per_s", [3_000.0, 30_000.0, 150_000.0])
def test_who_writes_faster_has_checkpoints_more_often_and_of_the_same_size(writes_per_s: float) -> None:
    world = _World(writes_per_s, link_per_s=3_000_000.0, look_ns=_MS // 2, period_ns=10 * _S, enough=16_384)
    world.run(60)
    between_looks = writes_per_s * 0.06
    assert all(16_384 <= cut <= 16_384 + between_looks for cut in world.cuts[1:]), world.cuts
    assert len(world.cuts) > 10 - 2


@pytest.mark.parametrize("gib", [1, 4, 64, 1024])
@pytest.mark.parametrize("writes_per_s", [0.0, 1000.0])
def test_looks_take_at_most_one_part_in_a_hundred_without_a_reason(gib: int, writes_per_s: float) -> None:
    look_ns = int(gib * 262_144 * _LOOK_NS_PER_PAGE)
    # So slow that what fits asks for no more looks: only what is enough could.
    world = _World(writes_per_s, area=_STAGING // 4, look_ns=look_ns, period_ns=10 * _S, enough=16_384)
    world.run(300)
    assert world.looks * look_ns <= 300 * _S / 100 + 2 * look_ns


@settings(max_examples=50)
@given(
    st.floats(0, FASTEST_PER_S),
    st.integers(2048, 1 << 20),
    st.floats(5_000, 3_000_000),
    st.integers(100_000, 5_000_000),
)
def test_no_checkpoint_is_larger_than_fits(rate: float, staging: int, link: float, look_ns: int) -> None:
    world = _World(rate, staging=staging, link_per_s=link, look_ns=look_ns)
    world.run(10)
    slack = rate * (110 * look_ns + 10 * _MS) / _S  # what is written between two looks
    assert all(cut <= staging * 0.9 + slack for cut in world.cuts[1:]), world.cuts


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))))
def test_any_numbers_give_a_look_that_is_still_to_come(looks: list[tuple[int, int, int]]) -> None:
    limit, now = MemoryLimit(1, 1, 1, 0), 0
    for number, (pages, took, later) in enumerate(looks):
        now += later
        if number % 3 == 0:
            limit.cut(pages, now)
            limit.link(took)
        else:
            verdict = limit.looked(pages, took, now, in_flight=number % 2 == 0)
            assert 0 <= verdict.stop_ns <= HALT_NS
        assert limit.next_look > now
        assert limit.most >= 1
