"""Break something before and after every single step of a pair's first checkpoints, and see what survives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colo.model.timing import Timing, problems
from colo.sim.faults import FAULTS, Fault, mend, play
from colo.sim.loop import MS
from colo.sim.world import World

if TYPE_CHECKING:
    from colo.model.checkpoint.primary_table import Resume
    from colo.sim.agent import Agent

TIGHT = Timing(
    heartbeat_ms=40,
    peer_timeout_ms=140,
    stall_timeout_ms=400,
    lease_ttl_ms=500,
    lease_renew_ms=120,
    clock_margin_ms=50,
    qmp_timeout_ms=500,
    pause_timeout_ms=600,
    checkpoint_timeout_ms=1000,
)
"""The same world, in less time."""

_SEED = 11
_THREE = 270
"""Milliseconds in which three checkpoints are made."""
_STABLE = {"idle", "degraded", "protected", "standby"}


def test_the_timing_of_these_tests_is_sound() -> None:
    assert problems(TIGHT) == ()


def start(mode: Resume, *, rest: bool = False) -> World:
    world = World(_SEED, mode=mode, period=25 * MS, rest=rest, flip=0.1, timing=TIGHT)
    world.boot("a")
    return world


def steps(mode: Resume, *, rest: bool) -> range:
    """The steps from the first checkpoint's trigger to the third one's end."""
    world = start(mode, rest=rest)
    first = 0

    def look(number: int, agent: Agent, _before: bool) -> None:  # noqa: FBT001  the world's call
        nonlocal first
        if agent.role.state.value == "syncing" and not first:
            first = number

    world.on_step = look
    world.run(_THREE)
    return range(first, world.steps + 1)


def broken(mode: Resume, fault: str, at: int, *, rest: bool, before: bool) -> World:
    world = start(mode, rest=rest)

    def strike(number: int, _agent: Agent, now_before: bool) -> None:  # noqa: FBT001  the world's call
        if (number, now_before) == (at, before):
            FAULTS[fault](world)

    world.on_step = strike
    world.run(_THREE)
    return world


FAULTS_TRIED = (
    *("crash a", "crash b", "partition ab", "freeze a", "freeze b"),
    *("kill-vm a", "kill-vm b", "step-fails a", "step-fails b"),
)


@pytest.mark.parametrize("fault", FAULTS_TRIED)
@pytest.mark.parametrize(
    ("mode", "rest", "before"),
    [
        ("early", False, True),
        ("early", False, False),
        ("together", False, False),
        ("early", True, False),
        ("together", True, False),
    ],
)
def test_whatever_breaks_at_any_step_the_survivor_is_whole(
    mode: Resume, fault: str, *, rest: bool, before: bool
) -> None:
    """The world checks each release and promotion. Here: what was protected survives and comes back."""
    tried = steps(mode, rest=rest)
    assert len(tried) > 40
    for at in tried:
        world = broken(mode, fault, at, rest=rest, before=before)
        record = world.witness.record()
        was_protected = record is not None and (record.standby is not None or record.token > 1)
        world.period = 200 * MS
        world.run(700)
        answered = len(world.answers)
        mend(world)
        world.run(900)
        states = set(world.states().values())
        assert states <= _STABLE, (at, states)
        if was_protected:
            assert states == {"protected", "standby"}, (at, states)
            assert len(world.answers) > answered, at


@pytest.mark.parametrize(("rest", "last"), [(False, "SayLoaded"), (True, "SayStored")])
def test_the_plan_of_this_test_reaches_all_of_a_checkpoint(last: str, *, rest: bool) -> None:
    world = start("early", rest=rest)
    world.run(_THREE)
    told = world.story()
    for action in ("MarkCut(checkpoint=3)", "Commit(checkpoint=3)", f"{last}(checkpoint=3)"):
        assert action in told
    play(world, [Fault(0, "crash a")])
    assert world.states() == {"b": "standby"}
