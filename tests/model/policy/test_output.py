"""What waits in epochs: when it asks for a checkpoint, and when one is to be expected."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colo.model.checkpoint.events import Reason, Trigger
from colo.model.policy.output import ACKS_NS, QUIET_NS, Expect, Output

ASKS = (Trigger(Reason.OUTPUT),)


def test_an_answer_asks_at_once() -> None:
    output = Output()
    output.waits(2, 0, only_acks=False)
    assert output.tell(0, 0) == ASKS
    assert output.tell(0, 0) == ()


def test_an_acknowledgement_has_a_checkpoint_expected_and_asks_when_no_answer_has_come() -> None:
    output = Output()
    output.waits(2, 0, only_acks=True)
    assert output.tell(0, 0) == (Expect(),)
    assert output.next_timer(0) == ACKS_NS
    assert output.tell(0, ACKS_NS - 1) == ()
    assert output.tell(0, ACKS_NS) == ASKS


def test_an_answer_behind_an_acknowledgement_asks_at_once() -> None:
    output = Output()
    output.waits(2, 0, only_acks=True)
    assert output.tell(0, 0) == (Expect(),)
    output.waits(2, 1, only_acks=False)
    assert output.tell(0, 1) == ASKS


def test_an_acknowledgement_that_waited_for_long_while_a_checkpoint_was_in_flight_asks_after_it() -> None:
    output = Output()
    output.waits(3, 0, only_acks=True)
    output.done(2, ACKS_NS)
    assert output.tell(0, ACKS_NS) == ASKS


def test_after_a_checkpoint_the_next_is_expected_when_its_clients_had_their_turn() -> None:
    output = Output()
    output.done(2, 0)
    assert output.next_timer(0) == QUIET_NS
    assert output.tell(0, QUIET_NS - 1) == ()
    assert output.tell(0, QUIET_NS) == (Expect(),)
    assert output.next_timer(0) is None


def test_nothing_asks_before_the_budget_allows_it() -> None:
    output = Output()
    output.waits(2, 0, only_acks=False)
    output.tell(10, 0)
    assert output.next_timer(10) == 10
    assert output.tell(10, 9) == ()
    assert output.tell(10, 10) == ASKS


steps = st.tuples(st.integers(0, 20_000_000), st.booleans(), st.booleans())


@given(st.lists(steps, max_size=40))
def test_whatever_waits_asks_within_its_time_and_a_timer_is_never_behind(
    told: list[tuple[int, bool, bool]],
) -> None:
    output, now, done = Output(), 0, 1
    for later, finished, only_acks in told:
        now += later
        if finished:
            done += 1
            output.done(done, now)
        else:
            output.waits(done + 1, now, only_acks=only_acks)
        asked = output.tell(0, now)
        timer = output.next_timer(0)
        assert timer is None or timer > now
        if not finished and not asked and timer is not None:
            assert timer <= now + max(ACKS_NS, QUIET_NS)
