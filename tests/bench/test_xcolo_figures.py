"""What bench.xcolo makes of its attempts: a number only where there is one."""

from __future__ import annotations

import pytest
from bench.xcolo.figures import (
    FIGURES,
    LOOPBACK,
    SLOW,
    Attempt,
    Figure,
    Moment,
    pauses_ms,
    ratio,
    stands_still_s,
)
from bench.xcolo.report import endings, rows
from hypothesis import given
from hypothesis import strategies as st

SYNC, PAUSE, APART, APART_FIRST, KEPT, KEPT_FIRST = FIGURES


def _moments(*told: tuple[float, str]) -> list[Moment]:
    return [Moment(at, name) for at, name in told]


def _through(sync: float = 1.0, pause: float = 1.0, answer: float = 1.0) -> list[Attempt]:
    return [Attempt(sync, 9, [pause], *[[answer]] * 4, replica_whole=True)]


def test_a_pause_is_from_a_stop_to_the_resume_after_it() -> None:
    moments = _moments((1.0, "STOP"), (1.005, "RESUME"), (1.2, "MIGRATION"), (1.5, "STOP"), (1.51, "RESUME"))
    assert pauses_ms(moments, 0.0) == pytest.approx([5, 10])


def test_pauses_that_began_before_do_not_count_nor_does_one_without_an_end() -> None:
    moments = _moments((1.0, "STOP"), (1.1, "RESUME"), (1.2, "STOP"), (1.3, "RESUME"), (1.4, "STOP"))
    assert pauses_ms(moments, 1.05) == pytest.approx([100])


def test_a_resume_without_a_stop_is_no_pause() -> None:
    assert pauses_ms(_moments((1.0, "RESUME"), (2.0, "RESUME")), 0.0) == []


@given(st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from(["STOP", "RESUME", "RESET"]))))
def test_any_events_make_pauses_that_are_no_more_than_the_stops(told: list[tuple[float, str]]) -> None:
    pauses = pauses_ms(_moments(*sorted(told)), 0.0)
    assert len(pauses) <= sum(name == "STOP" for _, name in told)
    assert all(pause >= 0 for pause in pauses)


def test_a_guest_stands_still_from_the_last_stop_without_a_resume() -> None:
    stop, resume = (1.0, "STOP"), (2.0, "RESUME")
    assert stands_still_s(_moments(), 9.0) == 0
    assert stands_still_s(_moments(stop, resume), 9.0) == 0
    assert stands_still_s(_moments(stop, resume, (3.0, "STOP"), (3.5, "RESET")), 9.0) == 6


@pytest.mark.parametrize(
    ("figure", "link", "theirs", "ours", "told"),
    [
        (PAUSE, LOOPBACK, _through(pause=6.0), _through(pause=6.0), "met"),
        (PAUSE, LOOPBACK, _through(pause=6.0), _through(pause=6.1), "missed"),
        (PAUSE, SLOW, _through(pause=6.0), _through(pause=2.0), "met"),
        (PAUSE, SLOW, _through(pause=6.0), _through(pause=2.1), "missed"),
        (APART, LOOPBACK, _through(answer=100), _through(answer=25), "met"),
        (APART, SLOW, _through(answer=100), _through(answer=26), "missed"),
        (KEPT, LOOPBACK, _through(answer=100), _through(answer=26), "missed"),
        (KEPT, SLOW, _through(answer=100), _through(answer=25), "met"),
        (SYNC, SLOW, _through(sync=12.0), _through(sync=6.0), "met"),
        (SYNC, LOOPBACK, _through(sync=12.0), _through(sync=6.1), "missed"),
    ],
)
def test_a_goal_is_a_share_of_x_colos_median(
    figure: Figure, link: str, theirs: list[Attempt], ours: list[Attempt], told: str
) -> None:
    found = {cells[0]: cells[-1] for cells in rows(link, {"x-colo": theirs, "colo": ours})}
    assert found[figure.title] == told


@pytest.mark.parametrize("figure", [APART_FIRST, KEPT_FIRST])
def test_the_beginning_of_a_load_is_compared_but_not_judged(figure: Figure) -> None:
    sides = {"x-colo": _through(answer=100), "colo": _through(answer=90)}
    found = {cells[0]: cells[-3:] for cells in rows(LOOPBACK, sides)}
    assert found[figure.title] == ("0.90", "", "")


def test_attempts_count_together_with_what_they_had_before_they_went_wrong() -> None:
    theirs = [*_through(pause=4.0), Attempt(1.0, 3, [6.0, 8.0], ended="it hangs"), Attempt()]
    assert ratio(PAUSE, theirs, _through(pause=3.0)) == 0.5


def test_answers_without_a_replica_do_not_count() -> None:
    """They were let out by the time-out of the comparison."""
    theirs = [Attempt(1.0, 9, [4.0], [1000.0], ended="the replica does not answer")]
    assert ratio(APART, theirs, _through()) is None
    assert ratio(PAUSE, theirs, _through(pause=4.0)) == 1.0


def test_the_table_says_why_there_is_no_number_and_how_the_attempts_ended() -> None:
    hung = [Attempt(1.0, 3, ended="it hangs"), Attempt(ended="it hangs"), Attempt(ended="the guest crashed")]
    found = {cells[0]: cells[1:] for cells in rows(LOOPBACK, {"x-colo": hung, "colo": _through(sync=0.5)})}
    why = "none: 2x it hangs, 1x the guest crashed"
    assert found[PAUSE.title] == (why, "1.0/1.0 (1)", "", "<= 1.00", "")
    assert found[SYNC.title] == ("1.0/1.0 (1)", "0.5/0.5 (1)", "0.50", "<= 0.50", "met")
    ended = "0 of 3 through; checkpoints: 3, 0, 0; 2x it hangs, 1x the guest crashed"
    assert found["attempts"][:2] == (ended, "1 of 1 through; checkpoints: 9")


@given(st.lists(st.builds(Attempt, st.none() | st.floats(0.1, 9), st.integers(0, 9), ended=st.text())))
def test_how_attempts_ended_is_said_of_any(attempts: list[Attempt]) -> None:
    through = sum(not attempt.ended for attempt in attempts)
    assert endings(attempts).startswith(f"{through} of {len(attempts)} through")
