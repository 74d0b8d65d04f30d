"""Any faults, in any order, at any time: the invariants of the world hold, and it comes to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colo.sim.faults import FAULTS, Fault, mend, play
from colo.sim.loop import MS
from colo.sim.world import World

if TYPE_CHECKING:
    from colo.model.checkpoint.primary_table import Resume

RESTING = {"idle", "unprotected", "degraded", "protected", "standby"}

plans = st.lists(
    st.builds(Fault, st.sampled_from([0, 1, 5, 20, 100, 600, 1500]), st.sampled_from(sorted(FAULTS))),
    max_size=10,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    mode=st.sampled_from(["early", "together"]),
    period=st.sampled_from([0, 30, 100, 500]),
    rest=st.booleans(),
    flip=st.sampled_from([0.0, 0.02, 0.3]),
    plan=plans,
)
def test_no_plan_of_faults_makes_the_world_lie_or_hang(
    seed: int, mode: Resume, period: int, *, rest: bool, flip: float, plan: list[Fault]
) -> None:
    world = World(seed, mode=mode, period=period * MS, rest=rest, flip=flip)
    world.boot("a")
    world.run(350)
    play(world, plan)
    mend(world)
    world.run(4000)
    states = set(world.states().values())
    assert states <= RESTING, (states, world.story())
    answered = len(world.answers)
    world.run(300)
    if states != {"idle"}:  # two faults at once may take both copies; one copy must answer
        assert len(world.answers) > answered
