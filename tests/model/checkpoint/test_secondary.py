from __future__ import annotations

from typing import get_args

import pytest

from colo.model.checkpoint.actions import (
    Deliver,
    EnterEpoch,
    ForgetCheckpoint,
    ForgetCut,
    LoadDevices,
    LosePrimary,
    LoseReplica,
    MendPages,
    PassCut,
    ReadyToPromote,
    RestorePages,
    ResumeSvm,
    SayLoaded,
    SayReceived,
    SayStored,
    StopSvm,
    StorePages,
)
from colo.model.checkpoint.events import (
    DevicesLoaded,
    Mended,
    Planned,
    PrimaryLost,
    Restored,
    SecondaryEvent,
    StateComplete,
    StateDamaged,
    StepFailed,
    Stored,
    SvmResumed,
    SvmStopped,
)
from colo.model.checkpoint.secondary import Secondary
from colo.model.checkpoint.secondary_table import TABLE, Rule, State, To
from colo.model.errors import LocalError, PeerError
from colo.model.table import Fault

PLACING: tuple[SecondaryEvent, ...] = (
    *(Stored(), SvmStopped(), Restored(), DevicesLoaded(), Mended(), SvmResumed()),
)


def machine(*events: SecondaryEvent) -> Secondary:
    secondary = Secondary()
    for event in events:
        secondary.step(event, 0)
    return secondary


def came(checkpoint: int, *, rest: bool = False) -> tuple[SecondaryEvent, ...]:
    """A checkpoint that has come whole, after its plan."""
    return Planned(checkpoint, rest), StateComplete(checkpoint)


def standing_by() -> Secondary:
    """Checkpoint 1 is loaded, epoch 2 runs."""
    return machine(*came(1), *PLACING)


def resting() -> Secondary:
    """Checkpoint 1 was loaded, checkpoint 2 is stored, the VM rests."""
    return machine(*came(1), *PLACING, *came(2, rest=True), Stored(), SvmStopped())


@pytest.mark.parametrize("state", State)
def test_every_event_has_an_entry_in_every_state(state: State) -> None:
    row = TABLE[state]
    assert set(row) == set(get_args(SecondaryEvent))
    assert all(isinstance(entry, To | Rule | Fault) for entry in row.values())


def test_a_whole_checkpoint_is_received_put_in_place_and_told() -> None:
    secondary = Secondary()
    done = [secondary.step(event, 0) for event in (*came(1), *PLACING)]
    assert done == [
        (),
        (SayReceived(1), StorePages(1)),
        (PassCut(1), StopSvm(1)),
        (RestorePages(1),),
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


@pytest.mark.parametrize("steps", range(6))
def test_a_primary_lost_after_the_commit_point_leaves_the_checkpoint(steps: int) -> None:
    secondary = standing_by()
    for event in (*came(2), *PLACING[:steps]):
        secondary.step(event, 0)
    assert secondary.step(PrimaryLost("silent"), 0) == ()
    done = [action for event in PLACING[steps:] for action in secondary.step(event, 0)]
    assert done[-2:] == [Deliver(2), ReadyToPromote()]
    assert SayLoaded(2) not in done
    assert secondary.epoch == 3


def test_a_primary_lost_before_the_first_checkpoint_leaves_nothing() -> None:
    (lost,) = Secondary().step(PrimaryLost("silent"), 0)
    assert lost == LoseReplica("silent; the first checkpoint was not complete")


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("alone", [False, True])
def test_a_step_that_fails_after_the_commit_point_loses_the_replica_for_good(
    steps: int, *, alone: bool
) -> None:
    secondary = standing_by()
    for event in (*came(2), *PLACING[:steps], *((PrimaryLost("gone"),) if alone else ())):
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
    for secondary in (standing_by(), resting()):
        with pytest.raises(PeerError):
            secondary.step(StateComplete(checkpoint), 0)
    with pytest.raises(PeerError):
        standing_by().step(Planned(checkpoint, rest=False), 0)


def test_a_checkpoint_without_a_plan_of_its_own_is_the_peers_error() -> None:
    with pytest.raises(PeerError):
        Secondary().step(StateComplete(1), 0)
    with pytest.raises(PeerError):
        standing_by().step(StateComplete(2), 0)


def test_a_planned_rest_stores_the_checkpoint_and_stops_the_vm() -> None:
    secondary = standing_by()
    done = [secondary.step(event, 0) for event in (*came(2, rest=True), Stored(), SvmStopped())]
    assert done[1:] == [(SayReceived(2), StorePages(2)), (PassCut(2), StopSvm(2)), (SayStored(2),)]
    assert (secondary.state, secondary.epoch, secondary.rests) == (State.RESTING, 3, True)


def test_a_vm_that_rests_is_not_touched_by_the_next_checkpoint() -> None:
    secondary = resting()
    done = [secondary.step(event, 0) for event in (*came(3, rest=True), Stored())]
    assert done[1:] == [(SayReceived(3), StorePages(3)), (PassCut(3), SayStored(3))]
    assert secondary.state is State.RESTING


def test_a_vm_that_rests_is_loaded_when_the_plan_says_so() -> None:
    secondary = resting()
    steps = (*came(3), Stored(), Restored(), DevicesLoaded(), Mended(), SvmResumed())
    done = [secondary.step(event, 0) for event in steps]
    assert done[2:] == [
        (PassCut(3), RestorePages(3)),
        (LoadDevices(3),),
        (MendPages(3),),
        (EnterEpoch(4), ResumeSvm(3)),
        (Deliver(3), SayLoaded(3)),
    ]
    assert (secondary.state, secondary.epoch, secondary.rests) == (State.RUNNING, 4, False)


def test_a_vm_that_rests_is_loaded_from_the_last_stored_checkpoint_when_the_primary_is_lost() -> None:
    secondary = resting()
    secondary.step(Planned(3, rest=True), 0)
    assert secondary.step(PrimaryLost("silent"), 0) == (ForgetCheckpoint(3), RestorePages(2))
    assert secondary.step(StateComplete(3), 0) == (), "queued before the link was dropped"
    done = [secondary.step(event, 0) for event in (Restored(), DevicesLoaded(), Mended(), SvmResumed())]
    assert done[-1] == (Deliver(2), ReadyToPromote())
    assert (secondary.state, secondary.epoch) == (State.READY, 3)


@pytest.mark.parametrize("first", [True, False])
def test_a_primary_lost_between_received_and_stored_leaves_that_checkpoint_loaded(*, first: bool) -> None:
    secondary = standing_by() if first else resting()
    n = 2 if first else 3
    for event in (*came(n, rest=True), PrimaryLost("silent")):
        secondary.step(event, 0)
    steps = (
        Stored(),
        *((SvmStopped(),) if first else ()),
        Restored(),
        DevicesLoaded(),
        Mended(),
        SvmResumed(),
    )
    done = [action for event in steps for action in secondary.step(event, 0)]
    assert RestorePages(n) in done
    assert done[-2:] == [Deliver(n), ReadyToPromote()]
    assert SayStored(n) not in done


@pytest.mark.parametrize("steps", range(6))
def test_a_second_checkpoint_before_our_loaded_is_the_peers_error(steps: int) -> None:
    secondary = machine(*came(1), *PLACING[:steps])
    with pytest.raises(PeerError):
        secondary.step(StateComplete(2), 0)


def test_what_the_relay_had_queued_before_the_link_was_dropped_is_ignored() -> None:
    finishing = machine(*came(1), PrimaryLost("silent"))
    ready = standing_by()
    ready.step(PrimaryLost("silent"), 0)
    for secondary in (finishing, ready):
        assert secondary.step(Planned(2, rest=False), 0) == ()
        assert secondary.step(StateComplete(2), 0) == ()
        assert secondary.step(PrimaryLost("again"), 0) == ()


def test_a_report_that_nobody_waits_for_is_our_own_bug() -> None:
    with pytest.raises(LocalError):
        machine(*came(1)).step(Restored(), 0)
