from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colo.model.checkpoint.actions import (
    CollectPages,
    Commit,
    DeclareSecondaryLost,
    DeclareVmLost,
    GoOnWhenSaved,
    MarkCut,
    NoteLoaded,
    NoteStored,
    PauseIngressAndStop,
    PrimaryAction,
    ResumeVm,
    SaveState,
    SayPlan,
    SendState,
)
from colo.model.checkpoint.events import (
    Deadline,
    LoadedByPeer,
    Pace,
    PagesCollected,
    PeerLost,
    PrimaryEvent,
    Reason,
    ReceivedByPeer,
    StateSaved,
    StepFailed,
    StoredByPeer,
    Trigger,
    VmResumed,
    VmStopped,
)
from colo.model.checkpoint.primary import Primary
from colo.model.checkpoint.primary_table import TABLES, Resume, Rule, State, To
from colo.model.errors import LocalError, PeerError
from colo.model.table import Fault

if TYPE_CHECKING:
    from enum import Enum

MODES: tuple[Resume, ...] = ("early", "together")
EVENTS = get_args(PrimaryEvent)
EARLY = (VmStopped(), PagesCollected(1, 1), StateSaved(), VmResumed(), ReceivedByPeer(1), LoadedByPeer(1))
TOGETHER = (VmStopped(), PagesCollected(1, 1), StateSaved(), ReceivedByPeer(1), LoadedByPeer(1), VmResumed())
WAYS: dict[Resume, tuple[PrimaryEvent, ...]] = {"early": EARLY, "together": TOGETHER}
PERIOD, PAUSE, TIMEOUT = 500, 2000, 5000
RUN, REST = Pace(PERIOD, rest=False), Pace(PERIOD, rest=True)


def machine(mode: Resume = "early", *events: PrimaryEvent) -> Primary:
    primary = Primary(resume=mode, pace=RUN, pause_ns=PAUSE, timeout_ns=TIMEOUT)
    for event in events:
        primary.step(event, 0)
    return primary


def in_flight(mode: Resume, steps: int) -> Primary:
    """A first checkpoint after so many of its events."""
    return machine(mode, Trigger(Reason.FIRST), *WAYS[mode][:steps])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", State)
def test_every_event_has_an_entry_in_every_state(mode: Resume, state: State) -> None:
    row = TABLES[mode][state]
    assert set(row) == set(EVENTS)
    assert all(isinstance(entry, To | Rule | Fault) for entry in row.values())


def test_early_the_vm_is_resumed_first_and_its_state_sent_meanwhile() -> None:
    primary = machine()
    done = [primary.step(event, 0) for event in (Trigger(Reason.FIRST), *EARLY)]
    assert done == [
        (SayPlan(1, rest=False), PauseIngressAndStop(1)),
        (CollectPages(1), MarkCut(1)),
        (GoOnWhenSaved(1), SaveState(1)),
        (ResumeVm(1), SendState(1)),
        (),
        (Commit(1),),
        (NoteLoaded(1),),
    ]
    assert (primary.state, primary.checkpoint) == (State.RUNNING, 2)


ANSWERED = (ReceivedByPeer(1), LoadedByPeer(1))


@pytest.mark.parametrize("before", range(3))
def test_a_secondary_may_answer_before_the_vm_runs_and_the_next_checkpoint_waits_for_both(
    before: int,
) -> None:
    primary = in_flight("early", 3)
    primary.step(Trigger(Reason.OPERATOR), 0)
    done = [primary.step(event, 0) for event in (*ANSWERED[:before], VmResumed(), *ANSWERED[before:])]
    assert done[before] == () or before == 2
    assert [action for actions in done for action in actions] == [
        Commit(1),
        NoteLoaded(1),
        SayPlan(2, rest=False),
        PauseIngressAndStop(2),
    ]
    assert primary.state is State.STOPPING


@pytest.mark.parametrize("answers", range(3))
def test_trouble_while_the_vm_is_being_resumed_gives_the_secondary_up_once_it_runs(answers: int) -> None:
    primary = in_flight("early", 3)
    for event in ANSWERED[:answers]:
        primary.step(event, 0)
    assert primary.next_timer() == PAUSE
    assert primary.step(PeerLost("checkpoint 1 cannot be sent"), 0) == ()
    assert primary.step(VmResumed(), 0) == (DeclareSecondaryLost("checkpoint 1 cannot be sent"),)


def test_together_the_vm_runs_when_the_secondarys_does() -> None:
    primary = machine("together")
    done = [primary.step(event, 0) for event in (Trigger(Reason.FIRST), *TOGETHER)]
    assert done[2:] == [(SaveState(1),), (SendState(1),), (Commit(1),), (NoteLoaded(1), ResumeVm(1)), ()]
    assert (primary.state, primary.checkpoint) == (State.RUNNING, 2)


@pytest.mark.parametrize(
    ("trigger", "after_steps", "again"),
    [
        (Trigger(Reason.MISMATCH, epoch=1), 0, False),  # before the cut: this checkpoint answers it
        (Trigger(Reason.OPERATOR), 0, False),
        (Trigger(Reason.MISMATCH, epoch=1), 4, False),  # of the epoch that this checkpoint ends
        (Trigger(Reason.HOLD_LIMIT, epoch=1), 1, False),
        (Trigger(Reason.MISMATCH, epoch=1), 5, False),
        (Trigger(Reason.MISMATCH, epoch=2), 1, True),  # behind the cut: told once per epoch, so never again
        (Trigger(Reason.MISMATCH, epoch=2), 4, True),
        (Trigger(Reason.HOLD_LIMIT, epoch=2), 5, True),
        (Trigger(Reason.OPERATOR), 1, True),
        (Trigger(Reason.QUEUE_LIMIT), 4, True),
        (Trigger(Reason.MEMORY), 2, False),  # counted before the cut
        (Trigger(Reason.MEMORY), 4, True),
        (Trigger(Reason.MEMORY), 5, True),
        (Trigger(Reason.PERIOD), 5, False),
        (Trigger(Reason.OUTPUT), 4, False),
    ],
)
def test_a_trigger_in_flight_makes_one_more_checkpoint_unless_this_one_answers_it(
    trigger: Trigger, after_steps: int, *, again: bool
) -> None:
    primary = in_flight("early", after_steps)
    assert primary.step(trigger, 0) == ()
    assert primary.step(trigger, 0) == ()
    done: list[PrimaryAction] = []
    for event in EARLY[after_steps:]:
        done += primary.step(event, 0)
    assert (PauseIngressAndStop(2) in done) is again
    assert primary.state is (State.STOPPING if again else State.RUNNING)


@pytest.mark.parametrize("mode", ["early", "together"])
def test_the_vm_runs_behind_a_checkpoint_that_is_sent_after_an_early_resumption_only(mode: Resume) -> None:
    steps = EARLY if mode == "early" else TOGETHER
    behind = [in_flight(mode, after).behind for after in range(len(steps))]
    assert behind == [mode == "early" and after >= 4 for after in range(len(steps))]


def test_what_was_counted_before_the_vm_stood_still_is_in_this_checkpoint() -> None:
    primary = in_flight("together", 4)
    primary.step(Trigger(Reason.MEMORY), 0)
    for event in TOGETHER[4:]:
        primary.step(event, 0)
    assert primary.state is State.RUNNING


def test_the_period_counts_from_the_end_of_the_exchange() -> None:
    primary = in_flight("early", 5)
    primary.step(LoadedByPeer(1), 1000)
    assert primary.next_timer() == 1000 + PERIOD
    assert primary.handle_timer(1000 + PERIOD - 1) == ()
    assert primary.handle_timer(1000 + PERIOD) == (SayPlan(2, rest=False), PauseIngressAndStop(2))
    assert "period" in primary.why


def test_without_a_period_there_is_no_timer_between_checkpoints() -> None:
    primary = Primary(resume="early", pace=Pace(0, rest=False), pause_ns=PAUSE, timeout_ns=TIMEOUT)
    for event in (Trigger(Reason.FIRST), *EARLY):
        primary.step(event, 0)
    assert primary.next_timer() is None


def steps_with_vm_stopped(mode: Resume) -> range:
    return range(3) if mode == "early" else range(5)


TROUBLE = (StepFailed("save", "disk full"), PeerLost("silent"))


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("mode", MODES)
def test_trouble_while_the_vm_is_stopped_resumes_it_and_then_gives_the_secondary_up(
    mode: Resume, trouble: PrimaryEvent
) -> None:
    for steps in steps_with_vm_stopped(mode):
        primary = in_flight(mode, steps)
        assert primary.step(trouble, 0) == (ResumeVm(1),)
        (lost,) = primary.step(VmResumed(), 1)
        assert isinstance(lost, DeclareSecondaryLost)
        assert primary.state is State.ENDED


@pytest.mark.parametrize("steps", [4, 5])
def test_trouble_while_the_vm_runs_gives_the_secondary_up_at_once(steps: int) -> None:
    (lost,) = in_flight("early", steps).step(PeerLost("silent"), 0)
    assert lost == DeclareSecondaryLost("silent")


@pytest.mark.parametrize("mode", MODES)
def test_the_deadline_names_the_step_that_was_late(mode: Resume) -> None:
    primary = in_flight(mode, 1)
    assert primary.next_timer() == PAUSE
    assert primary.handle_timer(PAUSE) == (ResumeVm(1),)
    assert primary.why == "checkpoint 1 was still collecting at its deadline"


def test_a_vm_that_cannot_be_resumed_is_lost_and_the_secondary_is_kept() -> None:
    for steps, events in ((3, ()), (1, (StepFailed("save", "no"),))):
        primary = in_flight("early", steps)
        for event in events:
            primary.step(event, 0)
        (lost,) = primary.step(StepFailed("resume", "QEMU hangs"), 0)
        assert isinstance(lost, DeclareVmLost)


@pytest.mark.parametrize("mode", MODES)
def test_a_second_step_that_fails_while_the_vm_is_resumed_does_not_end_the_vm(mode: Resume) -> None:
    """One that was cut short may have failed before."""
    primary = in_flight(mode, 1)
    assert primary.step(StepFailed("cut", "the link is not up"), 0) == (ResumeVm(1),)
    assert primary.step(StepFailed("collect", "tracking is lost"), 0) == ()
    (lost,) = primary.step(VmResumed(), 1)
    assert isinstance(lost, DeclareSecondaryLost)


def test_a_vm_that_hangs_in_resuming_is_lost_at_the_second_deadline() -> None:
    primary = in_flight("early", 3)
    assert primary.handle_timer(PAUSE) == ()
    (lost,) = primary.handle_timer(2 * PAUSE)
    assert isinstance(lost, DeclareVmLost)


@pytest.mark.parametrize("mode", MODES)
def test_while_the_vm_stands_still_the_deadline_is_that_of_the_pause(mode: Resume) -> None:
    for steps in range(len(WAYS[mode])):
        still = steps in steps_with_vm_stopped(mode) or (mode, steps) in {("early", 3), ("together", 5)}
        assert in_flight(mode, steps).next_timer() == (PAUSE if still else TIMEOUT)


def test_an_answer_to_another_checkpoint_is_the_peers_error_and_changes_nothing() -> None:
    primary = in_flight("early", 4)
    with pytest.raises(PeerError):
        primary.step(ReceivedByPeer(2), 0)
    assert primary.step(ReceivedByPeer(1), 0) == (Commit(1),)


def test_an_answer_out_of_turn_is_the_peers_error() -> None:
    for steps in range(5):
        with pytest.raises(PeerError):
            in_flight("early", steps).step(LoadedByPeer(1), 0)


def test_a_report_that_nobody_waits_for_is_our_own_bug() -> None:
    with pytest.raises(LocalError):
        machine().step(VmStopped(), 0)


def settled(*more: PrimaryEvent) -> Primary:
    """Checkpoint 1 is loaded; then these."""
    return machine("early", Trigger(Reason.FIRST), *EARLY, *more)


def carry_on(primary: Primary, answer: type[LoadedByPeer | StoredByPeer]) -> list[PrimaryAction]:
    n = primary.checkpoint
    steps = (VmStopped(), PagesCollected(1, 1), StateSaved(), VmResumed(), ReceivedByPeer(n), answer(n))
    return [action for step in steps for action in primary.step(step, 0)]


def test_the_first_checkpoint_is_loaded_even_if_the_secondary_is_to_rest_and_the_second_follows_at_once() -> (
    None
):
    primary = Primary(resume="early", pace=REST, pause_ns=PAUSE, timeout_ns=TIMEOUT)
    assert SayPlan(1, rest=False) in primary.step(Trigger(Reason.FIRST), 0)
    assert carry_on(primary, LoadedByPeer)[-2:] == [SayPlan(2, rest=True), PauseIngressAndStop(2)]
    assert primary.trigger.reason is Reason.MODE
    assert carry_on(primary, StoredByPeer)[-1] == NoteStored(2)
    assert primary.state is State.RUNNING


@pytest.mark.parametrize("steps", range(7))
def test_a_change_of_mode_begins_with_a_checkpoint_as_soon_as_none_is_in_flight(steps: int) -> None:
    primary = machine("early", *(Trigger(Reason.FIRST), *EARLY)[:steps])
    primary.step(REST, 0)
    if steps:
        done = [action for event in EARLY[steps - 1 :] for action in primary.step(event, 0)]
        assert done[-2:] == [SayPlan(2, rest=True), PauseIngressAndStop(2)]
    else:
        assert primary.state is State.RUNNING, "before the first checkpoint nothing changes"


def test_the_same_mode_with_another_period_only_moves_the_timer() -> None:
    primary = settled()
    assert primary.step(Pace(3 * PERIOD, rest=False), 10) == ()
    assert primary.next_timer() == 3 * PERIOD
    assert primary.step(Pace(0, rest=False), 10) == ()
    assert primary.next_timer() is None


@pytest.mark.parametrize("rests", [False, True])
def test_an_answer_against_the_plan_is_the_peers_error(*, rests: bool) -> None:
    primary = settled(REST if rests else Trigger(Reason.OPERATOR))
    for event in (VmStopped(), PagesCollected(1, 1), StateSaved(), VmResumed(), ReceivedByPeer(2)):
        primary.step(event, 0)
    with pytest.raises(PeerError):
        primary.step(LoadedByPeer(2) if rests else StoredByPeer(2), 0)
    primary.step(StoredByPeer(2) if rests else LoadedByPeer(2), 0)


events = st.one_of(
    st.builds(Trigger, st.sampled_from(Reason)),
    st.just(VmStopped()),
    st.just(StateSaved()),
    st.just(PagesCollected(1, 1)),
    st.just(VmResumed()),
    st.builds(ReceivedByPeer, st.integers(1, 3)),
    st.builds(LoadedByPeer, st.integers(1, 3)),
    st.builds(StoredByPeer, st.integers(1, 3)),
    st.sampled_from([RUN, REST, Pace(0, rest=False)]),
    st.just(StepFailed("step", "why")),
    st.just(PeerLost("why")),
    st.just(Deadline()),
)


@given(st.sampled_from(MODES), st.lists(events, max_size=40))
def test_whatever_happens_the_vm_is_not_left_stopped_and_nothing_is_committed_unreceived(
    mode: Resume, happens: list[PrimaryEvent]
) -> None:
    primary = machine(mode)
    stopped = False
    for event in happens:
        before: Enum = primary.state
        try:
            actions = primary.step(event, 0)
        except (PeerError, LocalError):
            assert primary.state is before
            continue
        for action in actions:
            stopped = isinstance(action, PauseIngressAndStop) or (
                stopped and not isinstance(action, ResumeVm)
            )
            if isinstance(action, Commit):
                assert event == ReceivedByPeer(action.checkpoint)
            if isinstance(action, DeclareSecondaryLost):
                assert not stopped
        if primary.state in (State.RUNNING, State.ENDED):
            assert not stopped
        else:
            assert primary.next_timer() is not None
