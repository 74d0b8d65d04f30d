"""Something slow or stuck in any phase of a checkpoint: the VM runs again in time, and answers go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from colo.model.timing import Timing
from colo.sim.faults import Fault, play
from colo.sim.loop import MS
from colo.sim.world import World

if TYPE_CHECKING:
    from colo.model.checkpoint.primary_table import Resume

TIMING = Timing()
IN_PAUSE = ("stop", "save", "collect", "resume")
SECONDARY = ("store", "stop", "restore", "load", "mend", "resume")
_SLACK_MS = 50
"""Steps of the simulation that are not hindered, and clocks that run apart."""
_TAKES_OVER_MS = TIMING.lease_ttl_ms + TIMING.heartbeat_ms + TIMING.peer_timeout_ms
_GIVES_UP_MS = TIMING.lease_renew_ms
_USUAL_MS = 300
"""Between two answers of a pair that is well, with a checkpoint in between."""


def protected(mode: Resume, *, rest: bool) -> World:
    world = World(5, mode=mode, period=100 * MS, rest=rest)
    world.boot("a")
    world.run(600)
    assert world.states() == {"a": "protected", "b": "standby"}
    return world


@frozen
class Seen:
    """Over a while: the longest time without a running VM at the holder of the lease, the longest without an
    answer to the client, who asks all the time, and where the first primary went.
    """

    still_ms: int
    silent_ms: int
    states: frozenset[str]


def watch(world: World, milliseconds: int = 12_000) -> Seen:
    still = silent = longest_still = longest_silent = 0
    states: set[str] = set()
    for _ in range(milliseconds):
        answered = len(world.answers)
        world.run(1)
        record = world.witness.record()
        holder = world.agents[record.holder].vm if record else None
        still = 0 if holder and holder.running else still + 1
        silent = 0 if len(world.answers) > answered else silent + 1
        longest_still, longest_silent = max(longest_still, still), max(longest_silent, silent)
        states.add(world.states()["a"])
    return Seen(longest_still, longest_silent, frozenset(states))


@pytest.mark.parametrize("takes_ms", [300, None], ids=["slow", "stuck"])
@pytest.mark.parametrize("rest", [False, True], ids=["lockstep", "epochs"])
@pytest.mark.parametrize("mode", ["early", "together"])
@pytest.mark.parametrize("step", IN_PAUSE)
def test_a_step_of_the_pause_that_hangs_stops_the_vm_for_twice_the_pause_at_most(
    step: str, mode: Resume, takes_ms: int | None, *, rest: bool
) -> None:
    world = protected(mode, rest=rest)
    world.hinder_next_step("a", step, takes_ms * MS if takes_ms else None)
    limit = takes_ms or 2 * TIMING.pause_timeout_ms
    if takes_ms is None and step == "resume":
        limit += _TAKES_OVER_MS  # it cannot run here any more
    seen = watch(world)
    # Until it is stopped it runs, and early it goes on when it is saved, before that step has said so.
    if step != "stop" and (step, mode) != ("resume", "early"):
        assert seen.still_ms >= min(limit, TIMING.pause_timeout_ms) - _SLACK_MS
    assert seen.still_ms <= limit + _SLACK_MS
    assert watch(world, 2000).silent_ms < _USUAL_MS


@pytest.mark.parametrize("rest", [False, True], ids=["lockstep", "epochs"])
@pytest.mark.parametrize("mode", ["early", "together"])
@pytest.mark.parametrize("step", [("a", "send"), *(("b", step) for step in SECONDARY)], ids="-".join)
def test_a_secondary_that_is_stuck_is_declared_lost_and_the_vm_runs_all_the_time(
    step: tuple[str, str], mode: Resume, *, rest: bool
) -> None:
    world = protected(mode, rest=rest)
    world.hinder_next_step(*step, None)
    if rest and step[1] not in ("send", "store"):
        world.change_mode(rest=False)  # a VM that rests is loaded, and so has these steps
    seen = watch(world)
    deadline = TIMING.checkpoint_timeout_ms if mode == "early" else TIMING.pause_timeout_ms
    assert seen.still_ms <= (0 if mode == "early" else deadline) + _SLACK_MS
    assert seen.silent_ms <= deadline + _GIVES_UP_MS + _SLACK_MS
    assert "degraded" in seen.states, "the secondary was given up"
    assert world.states() == {"a": "protected", "b": "standby"}, "and filled again"


@pytest.mark.parametrize("rest", [False, True], ids=["lockstep", "epochs"])
@pytest.mark.parametrize("mode", ["early", "together"])
@pytest.mark.parametrize("step", SECONDARY)
def test_a_secondary_that_is_slow_delays_answers_and_is_kept(step: str, mode: Resume, *, rest: bool) -> None:
    world = protected(mode, rest=rest)
    world.hinder_next_step("b", step, 1000 * MS)
    if rest and step != "store":
        world.change_mode(rest=False)
    seen = watch(world, 3000)
    assert 900 <= seen.silent_ms <= 1000 + _USUAL_MS
    assert seen.states == {"protected"}


@pytest.mark.parametrize("fault", ["freeze b", "stall b"])
@pytest.mark.parametrize("rest", [False, True], ids=["lockstep", "epochs"])
@pytest.mark.parametrize("mode", ["early", "together"])
@pytest.mark.parametrize("after_ms", range(0, 120, 30))
def test_a_secondary_that_freezes_at_any_time_stops_the_vm_for_no_longer_than_a_pause(
    fault: str, mode: Resume, after_ms: int, *, rest: bool
) -> None:
    world = protected(mode, rest=rest)
    play(world, [Fault(after_ms, fault)])
    seen = watch(world, 6000)
    noticed = TIMING.peer_timeout_ms if fault == "freeze b" else TIMING.stall_timeout_ms
    noticed += 3 * TIMING.heartbeat_ms  # a sign of life was on its way, the next would not be missed at once
    assert seen.still_ms <= (0 if mode == "early" else min(noticed, TIMING.pause_timeout_ms)) + _SLACK_MS
    assert seen.silent_ms <= noticed + _GIVES_UP_MS + _SLACK_MS
    assert world.states()["a"] == "degraded"
