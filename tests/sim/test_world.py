"""One fault at a time: what a client and an operator see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colo.model.role import events as on
from colo.sim.faults import Fault, mend, play
from colo.sim.loop import MS
from colo.sim.world import World

if TYPE_CHECKING:
    from colo.model.checkpoint.primary_table import Resume


def protected(seed: int = 1, mode: Resume = "early", *, rest: bool = False) -> World:
    world = World(seed, mode=mode, rest=rest, period=(30 if rest else 100) * MS)
    world.boot("a")
    world.run(400)
    assert world.states() == {"a": "protected", "b": "standby"}
    return world


def goes_on(world: World) -> bool:
    answered = len(world.answers)
    world.run(300)
    return len(world.answers) > answered + (2 if world.rest else 5)  # in epochs one question for each


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("mode", ["early", "together"])
def test_a_protected_vm_answers(mode: Resume, *, rest: bool) -> None:
    world = protected(mode=mode, rest=rest)
    assert goes_on(world)
    assert ("SayStored" in world.story()) is rest


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize(
    ("fault", "within_ms"),
    [
        ("crash a", 2600),
        ("freeze a", 2600),
        ("stall a", 3000),
        ("kill-vm a", 200),
        ("failover a", 200),
        ("failover b", 200),
    ],
)
def test_the_secondary_takes_over(fault: str, within_ms: int, *, rest: bool) -> None:
    world = protected(rest=rest)
    play(world, [Fault(0, fault)])
    world.run(within_ms)
    assert world.states()["b"] in ("degraded", "syncing", "confirming", "protected")
    assert goes_on(world)


@pytest.mark.parametrize(
    ("fault", "within_ms"),
    [("crash b", 900), ("freeze b", 900), ("stall b", 2300), ("kill-vm b", 100), ("partition ab", 900)],
)
def test_the_primary_goes_on_alone(fault: str, within_ms: int) -> None:
    world = protected()
    play(world, [Fault(0, fault)])
    world.run(within_ms)
    assert world.states()["a"] in ("degraded", "syncing", "confirming", "protected")
    assert goes_on(world)


def test_the_mode_changes_while_the_vm_answers() -> None:
    world = protected()
    world.period = 30 * MS
    for _ in range(5):
        play(world, [Fault(70, "epochs")])
        assert goes_on(world)
        play(world, [Fault(70, "lock-step")])
        assert goes_on(world)
    assert world.states() == {"a": "protected", "b": "standby"}


def test_in_epochs_nothing_leaves_but_by_commit() -> None:
    world = protected(rest=True)
    play(world, [Fault(200, "step-fails b"), Fault(0, "crash a")])
    world.run(3000)
    assert goes_on(world) or world.states() == {"b": "idle"}
    for seed in range(20):
        world = World(seed, rest=True, period=30 * MS, flip=1.0)
        world.boot("a")
        world.run(300 + 7 * seed)
        play(world, [Fault(0, "crash a")])
        world.run(3000)
        assert world.states() == {"b": "degraded"}
        assert goes_on(world)


def test_a_primary_cut_off_from_all_is_fenced_and_the_secondary_takes_over() -> None:
    world = protected()
    play(world, [Fault(0, "partition ab"), Fault(0, "partition aw")])
    world.run(2600)
    assert world.states() == {"a": "fenced", "b": "degraded"}
    assert goes_on(world)
    mend(world)
    world.run(3000)
    assert world.states() == {"a": "standby", "b": "protected"}


def test_a_protected_pair_pauses_while_the_witness_is_away_and_goes_on_when_it_is_back() -> None:
    world = protected()
    play(world, [Fault(0, "crash w")])
    world.run(2500)
    assert world.states()["a"] == "fenced"
    play(world, [Fault(0, "reboot w")])
    world.run(1500)
    assert goes_on(world)


def test_a_vm_that_is_alone_does_not_notice_that_the_witness_is_away() -> None:
    world = protected()
    play(world, [Fault(0, "crash b"), Fault(1500, "crash w"), Fault(10_000, "thaw w")])
    assert world.states()["a"] == "degraded"
    assert goes_on(world)


def test_after_a_failover_the_survivor_protects_itself_again() -> None:
    world = protected()
    play(world, [Fault(0, "crash a"), Fault(3000, "reboot a")])
    world.run(500)
    assert world.states() == {"a": "standby", "b": "protected"}
    play(world, [Fault(0, "crash b")])
    world.run(3000)
    assert world.states() == {"a": "degraded"}
    assert goes_on(world)


def test_a_primary_that_restarts_at_once_does_not_overtake_the_replica() -> None:
    for seed in range(12):
        world = protected(seed)
        play(world, [Fault(0, "crash a"), Fault(100, "reboot a")])
        world.boot("a")
        world.run(3500)
        assert world.states() == {"a": "standby", "b": "protected"}
        assert goes_on(world)


def test_a_frozen_primary_that_thaws_after_the_failover_says_nothing_and_joins() -> None:
    world = protected()
    play(world, [Fault(0, "freeze a"), Fault(4000, "thaw a")])
    world.run(1000)
    assert world.states() == {"a": "standby", "b": "protected"}


def test_guests_that_disagree_all_the_time_still_answer() -> None:
    world = World(3, flip=1.0, period=0)
    world.boot("a")
    world.run(1000)
    assert len(world.answers) > 20


def test_a_step_that_fails_ends_the_pairing_and_a_new_one_begins() -> None:
    for node in "ab":
        world = protected()
        play(world, [Fault(0, f"step-fails {node}")])
        world.run(1500)
        assert world.states() == {"a": "protected", "b": "standby"}
        assert goes_on(world)


def test_a_refused_request_of_the_operator_changes_nothing() -> None:
    world = protected()
    world.agents["a"].operator(on.Boot())
    assert goes_on(world)


def test_one_seed_gives_one_history() -> None:
    one, other = protected(7), protected(7)
    assert (one.story(), one.answers) == (other.story(), other.answers)
