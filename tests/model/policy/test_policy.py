"""The policy against traces: loads that are steady, loads that change, loads that mean harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from colo.model.checkpoint.events import Pace, Reason, Trigger
from colo.model.policy.account import account
from colo.model.policy.figures import FORCED, WINDOW_NS, Done, Gauge, Limits, Tick, Waits
from colo.model.policy.machine import LONGEST, SETTLE_NS, Policy
from colo.model.policy.output import Expect
from colo.model.policy.table import RESTS, STAY, TABLE, Finding, State, To

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S, MS = 1_000_000_000, 1_000_000
LIMITS = Limits()
TRIAL = LIMITS.trial_s * S


def done(
    reason: Reason, pause_ns: int, took_ns: int, waited_ns: int = 0, checkpoint: int = 1, commit_ns: int = 0
) -> Done:
    return Done(checkpoint, reason, pause_ns, commit_ns or took_ns // 2, took_ns, waited_ns)


@define
class Trace:
    """A policy and its life: when it changed its mode."""

    policy: Policy
    now: int = 0
    changes: list[int] = field(factory=list)
    agreed: int = 0

    def feed(self, event: Done | Gauge | Waits | Tick) -> tuple[Pace | Trigger | Expect, ...]:
        before = self.policy.rests
        told = self.policy.step(event, self.now)
        if self.policy.rests is not before:
            self.changes.append(self.now)
            assert told == (self.policy.pace(),)
        return told

    def run(
        self,
        seconds: float,
        forced_per_s: float,
        took_ms: int = 100,
        lag_ms: int = 5,
        waited_ms: int = 0,
        agreed_per_s: int = 4,
    ) -> None:
        """A load that forces so many checkpoints in lock-step, each as long; none in epochs."""
        end, due = self.now + int(seconds * S), self.now
        while self.now < end:
            self.now += 250 * MS
            self.agreed += 0 if self.policy.rests else agreed_per_s // 4
            timer = self.policy.next_timer()
            if timer is not None and timer <= self.now:
                self.feed(Tick() if self.policy.rests else Gauge(lag_ms * MS, self.agreed, held=0))
            if self.policy.rests:
                due = self.now
            while forced_per_s and not self.policy.rests and due <= self.now:
                due += int(S / forced_per_s)
                self.feed(done(Reason.MISMATCH, 5 * MS, took_ms * MS, waited_ms * MS))


def begin(limits: Limits = LIMITS) -> Trace:
    return Trace(Policy(limits, 500 * MS, 0))


@pytest.mark.parametrize("state", State)
def test_every_finding_has_an_entry_in_every_state(state: State) -> None:
    assert set(TABLE[state]) == set(Finding)
    assert all(entry is STAY or isinstance(entry, To) for entry in TABLE[state].values())
    assert state in RESTS


def test_copies_that_agree_stay_in_lockstep_for_ever() -> None:
    trace = begin()
    trace.run(3600, forced_per_s=0.5)
    assert trace.changes == []
    assert trace.policy.pace() == Pace(500 * MS, rest=False)


@pytest.mark.parametrize(
    ("forced_per_s", "took_ms", "lag_ms"), [(10, 90, 5), (6, 100, 5), (45, 6, 5), (0.1, 100, 600)]
)
def test_lockstep_that_costs_too_much_gives_way_to_epochs(
    forced_per_s: float, took_ms: int, lag_ms: int
) -> None:
    trace = begin()
    trace.run(2 * WINDOW_NS / S, forced_per_s, took_ms, lag_ms)
    assert len(trace.changes) == 1
    assert trace.policy.pace() == Pace(LIMITS.epoch_max_ms * MS, rest=True)
    assert "lock-step cost too much" in trace.policy.why


def test_a_burst_of_disagreement_changes_nothing() -> None:
    trace = begin()
    for _ in range(100):
        trace.run(2, forced_per_s=10)
        trace.run(8, forced_per_s=0)
    assert trace.changes == []


def test_copies_that_never_agree_are_tried_again_ever_less_often() -> None:
    trace = begin()
    trace.run(3600, forced_per_s=10)
    left = trace.changes[1::2]
    entered = trace.changes[0::2]
    stays = [back - there for there, back in zip(entered, left, strict=False)]
    assert stays[:5] == sorted(stays[:5])
    assert stays[-1] >= LONGEST * TRIAL
    assert len(trace.changes) <= 2 * 5 + 2 * 3600 / (LONGEST * LIMITS.trial_s)


def test_when_the_copies_agree_again_lockstep_comes_back_and_stays() -> None:
    trace = begin()
    trace.run(300, forced_per_s=10)
    before = len(trace.changes)
    trace.run(3600, forced_per_s=0.5)
    assert len(trace.changes) <= before + 1
    assert trace.policy.state is State.LOCKSTEP
    assert "agree again" in trace.policy.why


def test_between_the_limits_both_modes_stay_what_they_are() -> None:
    """Hysteresis: half way between the limits lock-step is not left, and not come back to."""
    steady = begin()
    steady.run(600, forced_per_s=3.75)
    assert steady.changes == []
    returning = begin()
    returning.run(30, forced_per_s=10)
    returning.run(600, forced_per_s=3.75)
    assert returning.policy.state in (State.EPOCH, State.TRIAL)


@pytest.mark.parametrize("seconds", [1, 3, 7, 12, 20, 40, 100])
def test_a_load_that_changes_regularly_does_not_make_it_flap(seconds: int) -> None:
    trace = begin()
    for turn in range(3600 // seconds):
        trace.run(seconds, forced_per_s=10 if turn % 2 else 0)
    assert len(trace.changes) <= 4 + 3600 / LIMITS.trial_s


def test_a_lag_that_nobody_waits_for_counts_nothing() -> None:
    trace = begin()
    for _ in range(100):
        trace.now += S
        trace.feed(Gauge(900 * MS, agreed=7, held=0))
    assert trace.changes == []


@pytest.mark.parametrize(("mode", "rest"), [("lockstep", False), ("epoch", True)])
def test_what_the_configuration_fixes_never_changes(mode: str, *, rest: bool) -> None:
    trace = begin(Limits(mode=mode))  # type: ignore[arg-type]
    assert trace.policy.pace().rest is rest
    trace.run(300, forced_per_s=20)
    assert trace.changes == []


def test_answers_that_would_wait_less_in_epochs_lead_there_though_they_are_few() -> None:
    trace = begin()
    trace.run(2 * WINDOW_NS / S, forced_per_s=1, took_ms=24, waited_ms=60)
    assert len(trace.changes) == 1
    assert "answers waited 120 % of what they would in epochs" in trace.policy.why


def test_what_differs_among_many_answers_that_agree_does_not() -> None:
    trace = begin()
    trace.run(600, forced_per_s=1, took_ms=24, waited_ms=60, agreed_per_s=8)
    assert trace.changes == []


def test_answers_that_differ_for_some_seconds_only_change_nothing() -> None:
    trace = begin()
    for _ in range(100):
        trace.run(3, forced_per_s=2, took_ms=24, waited_ms=60)
        trace.run(4, forced_per_s=0)
    assert trace.changes == []


def in_epochs(limits: Limits = LIMITS) -> Trace:
    """After checkpoint 1."""
    trace = begin(evolve(limits, mode="epoch"))
    trace.feed(done(Reason.MODE, 4 * MS, 30 * MS))
    trace.now = 40 * MS
    return trace


def test_in_epochs_an_answer_that_waits_asks_for_a_checkpoint_at_once() -> None:
    trace = in_epochs()
    assert trace.feed(Waits(2)) == (Trigger(Reason.OUTPUT),)
    assert trace.policy.next_timer() is None


def test_it_asks_once_for_each_checkpoint() -> None:
    trace = in_epochs()
    assert trace.feed(Waits(2)) == (Trigger(Reason.OUTPUT),)
    assert trace.feed(Tick()) == ()
    assert trace.feed(done(Reason.OUTPUT, 4 * MS, 10 * MS, checkpoint=2)) == ()
    trace.now += S
    assert trace.feed(Tick()) == (Expect(),)
    assert trace.policy.next_timer() is None


def test_what_began_to_wait_behind_the_cut_of_a_checkpoint_asks_after_it() -> None:
    trace = in_epochs()
    assert trace.feed(Waits(2)) == (Trigger(Reason.OUTPUT),)
    trace.feed(Waits(3))  # the checkpoint machine takes nothing while one is in flight
    assert trace.feed(done(Reason.OUTPUT, 4 * MS, 10 * MS, checkpoint=2)) == (Trigger(Reason.OUTPUT),)


def test_an_answer_that_comes_too_soon_waits_for_the_earliest_moment() -> None:
    trace = in_epochs(Limits(epoch_min_ms=20))
    trace.feed(done(Reason.OUTPUT, 4 * MS, 10 * MS, checkpoint=2))
    assert trace.feed(Waits(3)) == (Expect(),)
    assert trace.policy.next_timer() == trace.now + 20 * MS
    trace.now += 20 * MS
    assert trace.feed(Tick()) == (Trigger(Reason.OUTPUT),)


def test_in_lockstep_an_answer_that_waits_asks_for_nothing() -> None:
    assert begin().feed(Waits(1)) == ()


def wait_for_the_next(trace: Trace, checkpoint: int) -> int:
    """For how long an answer has to wait that is there when the checkpoint is done."""
    asks = Trigger(Reason.OUTPUT) in trace.feed(Waits(checkpoint + 1))
    timer = trace.policy.next_timer()
    return 0 if asks else (timer or trace.now) - trace.now


@given(st.lists(st.integers(0, 2 * S), max_size=30))
def test_the_pace_of_epochs_stays_within_its_bounds(pauses: list[int]) -> None:
    trace = begin(Limits(mode="epoch"))
    for number, pause in enumerate(pauses, 1):
        trace.feed(done(Reason.OUTPUT, pause, pause, checkpoint=number))
        wait = wait_for_the_next(trace, number)
        assert LIMITS.epoch_min_ms * MS <= wait <= LIMITS.epoch_max_ms * MS
        trace.now += wait


@given(st.integers(1, 150))
def test_under_a_stream_of_answers_the_vm_stands_still_for_its_share_of_the_time(pause_ms: int) -> None:
    trace = begin(Limits(mode="epoch", epoch_max_ms=2000))
    paused = number = 0
    while trace.now < 30 * S:
        number += 1
        trace.now += pause_ms * MS
        paused += pause_ms * MS
        trace.feed(done(Reason.OUTPUT, pause_ms * MS, pause_ms * MS, checkpoint=number))
        trace.now += wait_for_the_next(trace, number)
    share = 100 * paused / trace.now
    assert 0.9 * LIMITS.paused_percent <= share <= 1.1 * LIMITS.paused_percent


def test_answers_that_come_one_by_one_do_not_wait_for_the_budget() -> None:
    trace = begin(Limits(mode="epoch"))
    for number in range(1, 101):
        trace.feed(done(Reason.OUTPUT, 20 * MS, 40 * MS, checkpoint=number))
        trace.now += 100 * MS
        assert trace.feed(Waits(number + 1)) == (Trigger(Reason.OUTPUT),)


events = st.one_of(
    st.builds(
        done,
        st.sampled_from(Reason),
        st.integers(0, S),
        st.integers(0, 10 * S),
        st.integers(0, 10 * S),
        st.integers(1, 9),
    ),
    st.builds(Gauge, st.integers(0, 2 * S), st.integers(0, 5), st.integers(0, 5)),
    st.builds(Waits, st.integers(1, 9)),
    st.just(Tick()),
)
steps = st.lists(st.tuples(st.sampled_from([0, MS, 50 * MS, S, 6 * S, 40 * S]), events), max_size=200)
Steps = list[tuple[int, Done | Gauge | Waits | Tick]]


def live_through(taken: Steps) -> Iterator[Trace]:
    """The same trace after each step."""
    trace = begin()
    for wait, event in taken:
        trace.now += wait
        trace.feed(event)
        yield trace


@settings(max_examples=300)
@given(steps)
def test_whatever_is_measured_the_changes_of_mode_are_bounded(taken: Steps) -> None:
    trace = begin()
    for trace in live_through(taken):
        account(trace.policy, trace.now)
    assert_bounded(trace)


@given(steps)
def test_a_timer_that_is_due_is_never_due_again_at_once(taken: Steps) -> None:
    for trace in live_through(taken):
        timer = trace.policy.next_timer()
        if timer is not None and timer <= trace.now:
            trace.feed(Tick() if trace.policy.rests else Gauge(0, 0, 0))
            timer = trace.policy.next_timer()
            assert timer is None or timer > trace.now


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.integers(0, 2))
def test_a_load_that_turns_whenever_it_hurts_most_is_bounded_too(dice: object, kind: int) -> None:
    """It disagrees in lock-step, and agrees just long enough in trials."""
    turns: list[Callable[[Policy], bool]] = [
        lambda policy: policy.state is State.LOCKSTEP,
        lambda policy: policy.state is State.LOCKSTEP and dice.random() < 0.5,  # type: ignore[attr-defined]
        lambda policy: policy.state is not State.TRIAL or dice.random() < 0.1,  # type: ignore[attr-defined]
    ]
    trace = begin()
    while trace.now < 3600 * S:
        disagrees = turns[kind](trace.policy)
        trace.run(1, forced_per_s=20 if disagrees else 0)
    assert_bounded(trace)


def assert_bounded(trace: Trace) -> None:
    changes = trace.changes
    for first in range(len(changes)):
        for last in range(first, len(changes)):
            assert last - first + 1 <= 4 + (changes[last] - changes[first]) / TRIAL
    for entered, left in zip(changes[0::2], changes[1::2], strict=False):
        assert left - entered >= TRIAL
    for back, again in zip(changes[1::2], changes[2::2], strict=False):
        assert again - back >= SETTLE_NS


def test_only_checkpoints_that_disagreement_forces_count() -> None:
    trace = begin()
    for _ in range(200):
        trace.now += 100 * MS
        for reason in set(Reason) - FORCED:
            trace.feed(done(reason, 50 * MS, 100 * MS))
    assert trace.changes == []


@pytest.mark.parametrize("mode", ["auto", "lockstep", "epoch"])
def test_the_account_says_mode_reason_figures_and_outlook(mode: str) -> None:
    trace = begin(Limits(mode=mode))  # type: ignore[arg-type]
    trace.run(30, forced_per_s=10)
    told = account(trace.policy, trace.now)
    assert told.mode == ("lockstep" if mode == "lockstep" else "epoch")
    assert told.why
    assert told.outlook
    assert told.since_s == round((trace.now - trace.policy.since) / S, 1)
    assert [(one.limit, one.back) for one in told.measured] == [(50, 25), (20, 10), (70, 35), (500, 250)]
    if mode == "lockstep":
        assert told.measured[0].value > 50
        assert (told.earliest_ms, told.latest_ms) == (None, 500)
    else:
        assert (told.earliest_ms, told.latest_ms) == (LIMITS.epoch_min_ms, LIMITS.epoch_max_ms)
