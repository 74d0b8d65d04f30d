from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colo.model import witness as w
from colo.model.witness import Acquire, Granted, Record, Refusal, Refused, Release, Renew, SetStandby, Witness

TTL = 2000


def play(*requests: tuple[int, w.Request], state: Witness | None = None) -> tuple[Witness, list[w.Answer]]:
    state, answers = state or Witness(), []
    for now, request in requests:
        state, answer = w.step(state, request, now)
        answers.append(answer)
    return state, answers


def record(answer: w.Answer) -> Record:
    assert isinstance(answer, Granted)
    return answer.record


def refusal(answer: w.Answer) -> Refusal:
    assert isinstance(answer, Refused)
    return answer.refusal


HELD = (0, Acquire("vm", "a", TTL))


def test_the_first_to_ask_gets_token_one_and_nobody_is_its_standby() -> None:
    _, (answer,) = play(HELD)
    assert record(answer) == Record(token=1, holder="a", standby=None, ttl_ns=TTL, expires_ns=TTL)


def test_a_standby_waits_until_the_lease_has_run_out() -> None:
    named = (10, SetStandby("vm", "a", 1, 1, "b"))
    _, answers = play(HELD, named, (TTL + 9, Acquire("vm", "b", TTL)), (TTL + 10, Acquire("vm", "b", TTL)))
    assert refusal(answers[2]) is Refusal.HELD
    assert (record(answers[3]).token, record(answers[3]).holder, record(answers[3]).standby) == (2, "b", None)


def test_a_standby_gets_a_released_lease_at_once() -> None:
    _, answers = play(
        HELD, (1, SetStandby("vm", "a", 1, 1, "b")), (2, Release("vm", "a", 1)), (3, Acquire("vm", "b", 1))
    )
    assert record(answers[3]).holder == "b"


def test_a_replica_that_is_not_the_standby_is_refused_even_while_the_lease_is_held() -> None:
    _, answers = play(HELD, (1, Acquire("vm", "b", TTL)), (TTL * 9, Acquire("vm", "b", TTL)))
    assert [refusal(answer) for answer in answers[1:]] == [Refusal.NOT_ELIGIBLE] * 2


def test_the_last_holder_starts_again_with_a_new_token() -> None:
    _, answers = play(HELD, (TTL, Acquire("vm", "a", TTL)))
    assert record(answers[1]).token == 2


def test_the_last_holder_lets_a_standby_go_first_for_one_ttl() -> None:
    state, _ = play(HELD, (0, SetStandby("vm", "a", 1, 1, "b")))
    _, answers = play(
        (2 * TTL - 1, Acquire("vm", "a", TTL)), (2 * TTL - 1, Acquire("vm", "b", TTL)), state=state
    )
    assert refusal(answers[0]) is Refusal.HELD
    assert record(answers[1]).holder == "b"
    _, (answer,) = play((2 * TTL, Acquire("vm", "a", TTL)), state=state)
    assert record(answer).holder == "a"


def test_a_lease_that_ran_out_is_renewed_as_long_as_nobody_took_it() -> None:
    _, answers = play(HELD, (TTL * 3, Renew("vm", "a", 1)))
    assert record(answers[1]).expires_ns == TTL * 4


def test_a_deposed_holder_is_refused_everything() -> None:
    state, _ = play(HELD, (1, SetStandby("vm", "a", 1, 1, "b")), (TTL * 2, Acquire("vm", "b", TTL)))
    late = (Renew("vm", "a", 1), SetStandby("vm", "a", 1, 2, None), Release("vm", "a", 1))
    after, answers = play(*((TTL * 2, request) for request in late), state=state)
    assert [refusal(answer) for answer in answers] == [Refusal.STALE] * 3
    assert after == state


def test_a_late_request_cannot_make_a_struck_off_replica_a_standby_again() -> None:
    cleared = (2, SetStandby("vm", "a", 1, 2, None))
    state, answers = play(HELD, cleared, (3, SetStandby("vm", "a", 1, 1, "b")))
    assert refusal(answers[2]) is Refusal.STALE
    assert state.records["vm"].standby is None


def test_a_late_acquire_does_not_depose_the_vm_that_its_own_node_runs_by_now() -> None:
    late = (TTL * 9, Acquire("vm", "a", TTL, seen=0))
    _, answers = play(HELD, late, (TTL * 9, Renew("vm", "a", 1)), (TTL * 99, Acquire("vm", "a", TTL, seen=1)))
    assert refusal(answers[1]) is Refusal.HELD
    assert record(answers[2]).token == 1
    assert record(answers[3]).token == 2


def test_a_released_token_cannot_be_renewed_by_a_late_request() -> None:
    _, answers = play(HELD, (1, Release("vm", "a", 1)), (2, Renew("vm", "a", 1)))
    assert refusal(answers[2]) is Refusal.STALE


def test_after_a_restart_a_lease_counts_as_renewed_and_a_released_one_stays_free() -> None:
    state, _ = play(HELD, (0, Acquire("other", "a", TTL)), (1, Release("other", "a", 1)))
    state = w.restarted(state, 10 * TTL)
    assert state.records["vm"].expires_ns == 11 * TTL
    assert not state.records["other"].live(10 * TTL)


def test_a_forgotten_vm_may_be_acquired_by_anybody() -> None:
    state, _ = play(HELD)
    _, (answer,) = play((1, Acquire("vm", "c", TTL)), state=w.forget(state, "vm"))
    assert record(answer).holder == "c"


def test_more_vms_than_the_witness_remembers_are_refused() -> None:
    state, _ = play(*((0, Acquire(f"vm{i}", "a", TTL)) for i in range(w.MAX_VMS)))
    _, (new, known) = play((1, Acquire("one more", "a", TTL)), (1, Renew("vm0", "a", 1)), state=state)
    assert refusal(new) is Refusal.FULL
    assert isinstance(known, Granted)


nodes = st.sampled_from(["a", "b", "c"])
tokens = st.integers(0, 4)
requests = st.one_of(
    st.builds(Acquire, st.just("vm"), nodes, st.just(TTL), st.none() | tokens),
    st.builds(Renew, st.just("vm"), nodes, tokens),
    st.builds(SetStandby, st.just("vm"), nodes, tokens, st.integers(0, 5), st.none() | nodes),
    st.builds(Release, st.just("vm"), nodes, tokens),
)


@given(st.lists(st.tuples(st.integers(0, TTL), requests), max_size=30))
def test_whatever_is_asked_the_lease_changes_hands_only_when_free_and_only_to_who_may(
    asked: list[tuple[int, w.Request]],
) -> None:
    state, now = Witness(), 0
    for pause, request in asked:
        now += pause
        before = state.records.get("vm")
        state, answer = w.step(state, request, now)
        after = state.records.get("vm")
        if isinstance(answer, Refused):
            assert after == before
        elif before and after and after.token != before.token:
            assert isinstance(request, Acquire)
            assert after.token == before.token + 1
            assert not before.live(now)
            assert after.holder in (before.holder, before.standby)
            assert after.standby is None
