"""Pre-copy of simulated VMs: it ends, and its last pause is short."""

from __future__ import annotations

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from colo.model.convergence import (
    ENOUGH_PAGES,
    MAX_ROUNDS,
    MOST_PAGES,
    SHARES,
    Again,
    Convergence,
    Finish,
    Round,
)

_STAGING = 262_144
_TRANSFER_S = 2.5


@frozen
class _Vm:
    """Writes pages at random within an area, behind a link that carries some pages per second."""

    pages: int
    writes_per_s: float
    area: int
    link: float

    def written(self, seconds: float) -> int:
        """Distinct pages."""
        count = self.writes_per_s * seconds
        return round(self.area * (1 - (1 - 1 / self.area) ** count)) if count else 0


@frozen
class _Outcome:
    rounds: int
    left: int
    stopped: float
    seconds: float
    finish: Finish


def _precopy(vm: _Vm) -> _Outcome:
    convergence = Convergence(_STAGING, _TRANSFER_S)
    pages, total = vm.pages, 0.0
    for rounds in range(1, MAX_ROUNDS + 1):
        took = pages / vm.link
        total += took
        left = vm.written(took * (1 - convergence.stopped))
        step = convergence.after(Round(pages, took, left))
        if isinstance(step, Finish):
            return _Outcome(rounds, left, convergence.stopped, total, step)
        assert step == Again(convergence.stopped)
        pages = left
    raise AssertionError("more rounds than there may be")


def test_an_idle_vm_is_copied_once() -> None:
    outcome = _precopy(_Vm(65_536, 200, 10_000, 28_000))
    assert (outcome.rounds, outcome.stopped) == (1, 0.0)
    assert outcome.left <= ENOUGH_PAGES


def test_a_vm_that_writes_less_than_the_link_carries_is_never_slowed_down() -> None:
    outcome = _precopy(_Vm(262_144, 14_000, 200_000, 28_000))
    assert outcome.left <= ENOUGH_PAGES
    assert outcome.stopped == 0.0
    assert outcome.rounds <= 12


def test_a_small_area_written_all_the_time_goes_with_the_first_checkpoint() -> None:
    outcome = _precopy(_Vm(65_536, 50_000, 16_384, 28_000))
    assert outcome.stopped == 0.0
    assert ENOUGH_PAGES < outcome.left <= 16_384


@pytest.mark.parametrize("link", [2_800, 28_000, 280_000])
def test_a_vm_that_writes_all_of_it_faster_than_any_link_is_slowed_down_until_the_rest_fits(
    link: int,
) -> None:
    vm = _Vm(2_097_152, 400_000, 2_000_000, link)
    outcome = _precopy(vm)
    assert outcome.stopped > 0.0
    assert outcome.left <= MOST_PAGES or outcome.stopped == SHARES[-1]


def test_at_most_one_in_twenty_writes_is_left_to_a_vm() -> None:
    outcome = _precopy(_Vm(262_144, 100_000, 262_144, 28_000))
    assert outcome.stopped <= 0.95
    assert outcome.left <= MOST_PAGES
    assert outcome.left / 28_000 <= _TRANSFER_S


@given(
    st.integers(1, 4_000_000),
    st.floats(0, 1_000_000),
    st.integers(1, 4_000_000),
    st.floats(100, 1_000_000),
)
def test_it_ends_whatever_the_vm_does(pages: int, writes: float, area: int, link: float) -> None:
    outcome = _precopy(_Vm(pages, writes, min(area, pages), link))
    assert outcome.rounds <= MAX_ROUNDS
    fits = outcome.left <= min(_STAGING, MOST_PAGES) and outcome.left / link <= _TRANSFER_S * 1.01
    assert fits or outcome.left <= ENOUGH_PAGES or "slowed down" in outcome.finish.why


@given(st.lists(st.tuples(st.integers(0, 1 << 34), st.floats(0, 1e6), st.integers(0, 1 << 34)), min_size=41))
def test_any_rounds_end_within_the_limit(rounds: list[tuple[int, float, int]]) -> None:
    convergence = Convergence(_STAGING, _TRANSFER_S)
    steps = []
    for pages, took_s, left in rounds:
        steps.append(convergence.after(Round(pages, took_s, left)))
        if isinstance(steps[-1], Finish):
            break
    assert isinstance(steps[-1], Finish)
    assert len(steps) <= MAX_ROUNDS
