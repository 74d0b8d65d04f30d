from __future__ import annotations

from typing import get_args

import pytest

from colo.model.checkpoint.actions import (
    ApplyPages,
    Deliver,
    EnterEpoch,
    ForgetCheckpoint,
    ForgetCut,
    LoadDevices,
    LosePrimary,
    LoseReplica,
    MendPages,
    ReadyToPromote,
    ResumeSvm,
    SayLoaded,
    SayReceived,
    StopSvm,
)
from colo.model.checkpoint.events import (
    Applied,
    DevicesLoaded,
    Mended,
    PrimaryLost,
    SecondaryEvent,
    StateComplete,
    StateDamaged,
    StepFailed,
    SvmResumed,
    SvmStopped,
)
from colo.model.checkpoint.secondary import TABLE, Rule, Secondary, State, To
from colo.model.errors import LocalError, PeerError
from colo.model.table import Fault

PLACING: tuple[SecondaryEvent, ...] = (SvmStopped(), Applied(), DevicesLoaded(), Mended(), SvmResumed())


def machine(*events: SecondaryEvent) -> Secondary:
    secondary = Secondary()
    for event in events:
        secondary.step(event, 0)
    return secondary


def standing_by() -> Secondary:
    """Checkpoint 1 is loaded, epoch 2 runs."""
    return machine(StateComplete(1), *PLACING)


@pytest.mark.parametrize("state", State)
def test_every_event_has_an_entry_in_every_state(state: State) -> None:
    row = TABLE[state]
    assert set(row) == set(get_args(SecondaryEvent))
    assert all(isinstance(entry, To | Rule | Fault) for entry in row.values())


def test_a_whole_checkpoint_is_received_put_in_place_and_told() -> None:
    secondary = Secondary()
    done = [secondary.step(event, 0) for event in (StateComplete(1), *PLACING)]
    assert done == [
        (SayReceived(1), StopSvm(1)),
        (ApplyPages(1),),
        (LoadDevices(1),),
        (MendPages(1),),
        (EnterEpoch(2), ResumeSvm(1)),
        (Deliver(1), SayLoaded(1)),
    ]
    assert (secondary.state, secondary.epoch) == (State.RUNNING, 2)


def test_a_primary_lost_before_the_commit_point_leaves_the_running_epoch() -> None:
    secondary = standing_by()
    assert secondary.step(PrimaryLost("silent"), 0) == (ForgetCheckpoint(2), ForgetCut(2), ReadyToPromote())
    assert secondary.state is State.READY


@pytest.mark.parametrize("steps", range(5))
def test_a_primary_lost_after_the_commit_point_leaves_the_checkpoint(steps: int) -> None:
    secondary = standing_by()
    for event in (StateComplete(2), *PLACING[:steps]):
        secondary.step(event, 0)
    assert secondary.step(PrimaryLost("silent"), 0) == ()
    done = [action for event in PLACING[steps:] for action in secondary.step(event, 0)]
    assert done[-2:] == [Deliver(2), ReadyToPromote()]
    assert SayLoaded(2) not in done
    assert secondary.epoch == 3


def test_a_primary_lost_before_the_first_checkpoint_leaves_nothing() -> None:
    (lost,) = Secondary().step(PrimaryLost("silent"), 0)
    assert lost == LoseReplica("silent; the first checkpoint was not complete")


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("alone", [False, True])
def test_a_step_that_fails_after_the_commit_point_loses_the_replica_for_good(
    steps: int, *, alone: bool
) -> None:
    secondary = standing_by()
    for event in (StateComplete(2), *PLACING[:steps], *((PrimaryLost("gone"),) if alone else ())):
        secondary.step(event, 0)
    (lost,) = secondary.step(StepFailed("load", "device unknown"), 0)
    assert lost == LoseReplica("checkpoint 2 failed at load: device unknown")
    everything: tuple[SecondaryEvent, ...] = (
        *PLACING,
        PrimaryLost("x"),
        StateComplete(2),
        StateDamaged(2, ""),
    )
    assert all(secondary.step(event, 0) == () for event in everything)


def test_a_damaged_checkpoint_loses_the_primary_but_not_the_replica() -> None:
    secondary = standing_by()
    assert secondary.step(StateDamaged(2, "checksum"), 0) == (
        LosePrimary("checkpoint 2 arrived damaged: checksum"),
    )
    assert ReadyToPromote() in secondary.step(PrimaryLost("given up"), 0)


def test_a_damaged_first_checkpoint_leaves_nothing() -> None:
    (lost,) = Secondary().step(StateDamaged(1, "checksum"), 0)
    assert isinstance(lost, LoseReplica)


@pytest.mark.parametrize("checkpoint", [1, 3])
def test_a_checkpoint_out_of_order_is_the_peers_error(checkpoint: int) -> None:
    with pytest.raises(PeerError):
        standing_by().step(StateComplete(checkpoint), 0)


@pytest.mark.parametrize("steps", range(5))
def test_a_second_checkpoint_before_our_loaded_is_the_peers_error(steps: int) -> None:
    secondary = machine(StateComplete(1), *PLACING[:steps])
    with pytest.raises(PeerError):
        secondary.step(StateComplete(2), 0)


def test_what_the_relay_had_queued_before_the_link_was_dropped_is_ignored() -> None:
    finishing = machine(StateComplete(1), PrimaryLost("silent"))
    ready = standing_by()
    ready.step(PrimaryLost("silent"), 0)
    for secondary in (finishing, ready):
        assert secondary.step(StateComplete(2), 0) == ()
        assert secondary.step(PrimaryLost("again"), 0) == ()


def test_a_report_that_nobody_waits_for_is_our_own_bug() -> None:
    with pytest.raises(LocalError):
        machine(StateComplete(1)).step(Applied(), 0)
