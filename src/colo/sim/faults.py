"""What can break, by name, and plans of it. A plan is data, so that a failing one can be shrunk and kept."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from attrs import frozen

from colo.model.role import events as on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from colo.sim.world import World


@frozen
class Fault:
    """`name` (a key of FAULTS) happens `after_ms` milliseconds after the one before."""

    after_ms: int
    name: str


def _crash(node: str) -> Callable[[World], None]:
    return lambda world: world.hosts[node].crash()


def _reboot(node: str) -> Callable[[World], None]:
    return lambda world: None if world.hosts[node].alive else world.reboot(node)


def _freeze(node: str) -> Callable[[World], None]:
    return lambda world: world.hosts[node].freeze("relay", "agent")


def _stall(node: str) -> Callable[[World], None]:
    return lambda world: world.hosts[node].freeze("agent")


def _thaw(node: str) -> Callable[[World], None]:
    return lambda world: world.hosts[node].thaw()


def _kill_vm(node: str) -> Callable[[World], None]:
    return lambda world: world.agents[node].vm_died()


def _failover(node: str) -> Callable[[World], None]:
    def fail_over(world: World) -> None:
        agent = world.agents[node]
        agent.host.run("agent", lambda: agent.operator(on.Failover()))

    return fail_over


def _partition(a: str, b: str) -> Callable[[World], None]:
    return lambda world: world.network.partition(a, b)


def _heal(a: str, b: str) -> Callable[[World], None]:
    return lambda world: world.network.heal(a, b)


def _step_fails(node: str) -> Callable[[World], None]:
    return lambda world: world.fail_next_step(node)


_OF_HOST: Mapping[str, Callable[[str], Callable[[World], None]]] = {
    "crash": _crash,
    "reboot": _reboot,
    "freeze": _freeze,
    "stall": _stall,
    "thaw": _thaw,
    "kill-vm": _kill_vm,
    "failover": _failover,
    "step-fails": _step_fails,
}
_OF_PAIR: Mapping[str, Callable[[str, str], Callable[[World], None]]] = {
    "partition": _partition,
    "heal": _heal,
}
_PAIRS = (("a", "b"), ("a", "w"), ("b", "w"))

FAULTS: Mapping[str, Callable[[World], None]] = {
    **{f"{name} {node}": make(node) for (name, make), node in product(_OF_HOST.items(), "ab")},
    **{f"{name} {a}{b}": make(a, b) for (name, make), (a, b) in product(_OF_PAIR.items(), _PAIRS)},
    "crash w": lambda world: world.witness.host.crash(),
    "reboot w": lambda world: world.witness.reboot(),
    "freeze w": lambda world: world.witness.host.freeze("relay"),
    "thaw w": lambda world: world.witness.host.thaw(),
    "epochs": lambda world: world.change_mode(rest=True),
    "lock-step": lambda world: world.change_mode(rest=False),
}


def random_plan(dice: Random, faults: int) -> tuple[Fault, ...]:
    """So many faults, from at once to a second apart."""
    names = tuple(FAULTS)
    return tuple(Fault(dice.choice((0, 3, 30, 300, 1000)), dice.choice(names)) for _ in range(faults))


def play(world: World, plan: Iterable[Fault]) -> None:
    """Lets the plan happen."""
    for fault in plan:
        world.run(fault.after_ms)
        world.note("FAULT", fault.name)
        FAULTS[fault.name](world)


def mend(world: World) -> None:
    """Everything that can be repaired is; crashed hosts come back empty."""
    for a, b in _PAIRS:
        world.network.heal(a, b)
    if not world.witness.host.alive:
        world.witness.reboot()
    world.witness.host.thaw()
    for name, host in world.hosts.items():
        if not host.alive:
            world.reboot(name)
        host.thaw()
