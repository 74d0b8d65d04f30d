"""The simulator's checks can fail: each test breaks one rule of the protocol, and the world notices."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from colo.model import witness as lease
from colo.model.checkpoint import primary_table as primary
from colo.model.checkpoint import secondary_table as secondary
from colo.model.checkpoint.actions import Commit, EnterEpoch, ResumeSvm, ResumeVm, SendState
from colo.model.checkpoint.events import (
    DevicesLoaded,
    PrimaryLost,
    Restored,
    StateSaved,
    Stored,
    SvmStopped,
)
from colo.model.checkpoint.secondary import Secondary
from colo.model.role import table
from colo.model.role.actions import DropLink, EndPairing, RunAlone
from colo.model.role.events import GateClosed, PeerLost
from colo.model.role.lease import LeaseKeeper
from colo.model.role.states import State
from colo.sim.faults import Fault, play
from colo.sim.loop import MS
from colo.sim.vm import HalfStateError
from colo.sim.world import ViolationError, World

BAD = (ViolationError, HalfStateError)
SPLIT = (Fault(300, "partition ab"), Fault(0, "partition aw"))


def breaks(*plan: Fault) -> bool:
    """Whether some seed of a few shows a violation."""
    for seed in range(12):
        world = World(seed, period=40 * MS, flip=0.2)
        try:
            world.boot("a")
            world.run(100)
            play(world, plan)
            world.run(5000)
        except BAD:
            return True
    return False


@pytest.mark.parametrize(
    "plan", [SPLIT, (Fault(300, "crash a"),), (Fault(300, "freeze a"), Fault(4000, "thaw a"))]
)
def test_the_protocol_as_it_is_breaks_nothing(plan: tuple[Fault, ...]) -> None:
    assert not breaks(*plan)


def change(monkeypatch: pytest.MonkeyPatch, rows: Any, row: object, event: type, entry: object) -> None:
    monkeypatch.setitem(rows[row], event, entry)


def test_committing_before_received_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    early = primary.To(primary.State.RESUMING, (Commit, ResumeVm, SendState))
    change(monkeypatch, primary.TABLES["early"], primary.State.SAVING, StateSaved, early)
    assert breaks()


def test_going_on_alone_without_the_witness_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = table.To(State.DEGRADED, "hasty", (EndPairing, DropLink, RunAlone))
    change(monkeypatch, table.TABLE, State.PROTECTED, PeerLost, hasty)
    assert breaks(Fault(300, "partition ab"))


def test_a_gate_that_outlives_the_lease_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeaseKeeper, "gate", lambda keeper: 2**62 if keeper.token else 0)
    change(monkeypatch, table.TABLE, State.PROTECTED, GateClosed, table.IGNORE)
    change(monkeypatch, table.TABLE, State.PROTECTED, PeerLost, table.IGNORE)
    assert breaks(Fault(300, "freeze a"), Fault(4000, "thaw a"))


def test_a_witness_that_grants_a_lease_that_is_still_held_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease.Record, "held_against", lambda _record, _node, _now: False)
    assert breaks(Fault(300, "freeze a"), Fault(900, "thaw a"))


def test_a_standby_that_is_never_struck_off_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    true = lease.step

    def forgetful(
        state: lease.Witness, request: lease.Request, now: int
    ) -> tuple[lease.Witness, lease.Answer]:
        if isinstance(request, lease.SetStandby) and request.standby is None:
            request = evolve(request, standby="b")
        return true(state, request, now)

    monkeypatch.setattr(lease, "step", forgetful)
    assert breaks(Fault(300, "partition ab"), Fault(1100, "crash a"))


def test_running_half_a_checkpoint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    skip = secondary.To(secondary.State.RESUMING, (lambda n: EnterEpoch(n + 1), ResumeSvm))
    change(monkeypatch, secondary.TABLE, secondary.State.RESTORING, Restored, skip)
    assert breaks()


def test_waking_from_the_checkpoint_before_the_last_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Secondary, "_wake", _wake_from_what_ran)
    found = False
    for seed in range(20):
        found = found or breaks_at(300, seed, rest=True)
    assert found


def _wake_from_what_ran(machine: Secondary, _event: object) -> tuple[object, ...]:
    machine.state = secondary.State.RESUMING  # without restoring anything
    machine._alone = True
    return (ResumeSvm(2),)


def test_forgetting_a_received_checkpoint_at_a_failover_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for state in (secondary.State.STORING, secondary.State.STOPPING, secondary.State.RESTORING):
        forget = secondary.TABLE[secondary.State.RUNNING][PrimaryLost]
        change(monkeypatch, secondary.TABLE, state, PrimaryLost, forget)
        for report in (Stored, SvmStopped, Restored):
            change(monkeypatch, secondary.TABLE, secondary.State.READY, report, secondary.Rule.IGNORE)
        change(monkeypatch, secondary.TABLE, secondary.State.READY, DevicesLoaded, secondary.Rule.IGNORE)
    found = False
    for at in range(100, 180):
        found = found or breaks_at(at)
    assert found


def breaks_at(milliseconds: int, seed: int = 1, *, rest: bool = False) -> bool:
    world = World(seed, period=20 * MS, rest=rest, flip=0.5)
    world.boot("a")
    try:
        world.run(milliseconds)
        play(world, [Fault(0, "kill-vm a")])
        world.run(500)
    except BAD:
        return True
    return False
