"""The secondary's steps, with a hypervisor, a relay and a replica that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from attrs import define, field

from colo.agent.replica_pairing import AT_ONCE, ReplicaPairing
from colo.errors import QemuError
from colo.model import messages
from colo.model.checkpoint import events
from colo.model.checkpoint.secondary_table import State
from colo.model.errors import PeerError
from colo.model.role import events as role

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


@define
class _World:
    """Stands for the relay, the VM with its hypervisor and tracker, and the replica: notes what is called."""

    newer: int = 0
    stuck: bool = False
    cache: int = 7
    ram: int = 7
    told: list[Any] = field(factory=list)
    verified: list[tuple[int, str]] = field(factory=list)
    pages: int = 8
    calls: list[str] = field(factory=list)
    placed: list[tuple[int, list[str]]] = field(factory=list)

    @property
    def hypervisor(self) -> _World:
        return self

    def tracker(self) -> _World:
        return self

    def collect(self, *, stopped: bool) -> set[int]:
        assert stopped
        return set()

    def store(self, n: int) -> int:
        self.calls.append(f"store {n}")
        return self.newer

    def restore(self, _dirty: object) -> int:
        self.calls.append("restore")
        return self.newer

    def cache_hash(self) -> int:
        self.calls.append("hash cache")
        return self.cache

    def ram_hash(self) -> int:
        self.calls.append("hash VM")
        return self.ram

    def device(self, n: int) -> bytes:
        return str(n).encode()

    async def load(self, device: bytes) -> None:
        self.calls.append(f"load {device.decode()}")

    async def run_state(self) -> str:
        self.calls.append("asked")
        if self.stuck:
            raise QemuError("no answer to query-status within 5000 ms", "")
        return "restore-vm"

    async def stop_clean(self) -> None:
        self.calls.append("stop")

    async def cont(self) -> None:
        self.calls.append("cont")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


_SETTLED = (State.RUNNING, State.RESTING, State.READY, State.EMPTY, State.LOST)


async def _through(
    world: _World, *happens: events.SecondaryEvent | messages.RamHash
) -> tuple[ReplicaPairing, list[Any]]:
    """A pairing after these events, each when no step is under way, and what it sent."""
    post, posted = anyio.create_memory_object_stream[Any](8)
    sent: list[Any] = []
    async with anyio.create_task_group() as tasks, post, posted:
        anything = cast("Any", world)
        pairing = ReplicaPairing(
            anything,
            anything,
            tasks,
            post.send_nowait,
            world.told.append,
            sent.append,
            anything,
            lambda n, memory: world.verified.append((n, memory)),
            lambda done: world.placed.append((done.checkpoint, list(done.phases_ms))),
        )
        for event in happens:
            if isinstance(event, messages.RamHash):
                pairing.verification.announce(event.checkpoint, event.value)
                continue
            pairing.feed(event, 0)
            while pairing.machine.state not in _SETTLED:
                pairing.feed(await posted.receive(), 0)
    return pairing, sent


def _came(n: int, *, rest: bool) -> tuple[events.SecondaryEvent, ...]:
    return events.Planned(n, rest), events.StateComplete(n)


async def test_a_copy_that_rests_is_asked_whether_it_lives_and_otherwise_left_alone() -> None:
    world = _World(newer=AT_ONCE - 1)
    _, sent = await _through(world, *_came(1, rest=False), *_came(2, rest=True), *_came(3, rest=True))
    assert world.calls[-5:] == ["asked", "store 2", "stop", "asked", "store 3"]
    assert sent[-2:] == [messages.Received(3), messages.Stored(3)]


@pytest.mark.parametrize("event", [events.Planned(1, rest=False), events.StateComplete(1)])
async def test_a_checkpoint_before_the_vm_is_there_breaks_the_protocol(event: events.SecondaryEvent) -> None:
    pairing, _ = await _through(_World())
    pairing.vm = None
    with pytest.raises(PeerError, match="before this side said that it has started"):
        pairing.feed(event, 0)


async def test_a_first_copy_that_is_damaged_before_the_vm_is_there_is_told_at_once() -> None:
    world = _World()
    pairing, _ = await _through(world)
    pairing.vm = None
    pairing.feed(events.StateDamaged(0, "bits flipped"), 0)
    assert [type(event) for event in world.told] == [role.ReplicaFailed]


async def test_pages_that_pile_up_are_restored_before_there_are_too_many() -> None:
    world = _World(newer=AT_ONCE)
    await _through(world, *_came(1, rest=False), *_came(2, rest=True), *_came(3, rest=True))
    assert world.calls[-5:] == ["store 2", "stop", "asked", "store 3", "restore"], "never while the copy runs"


async def test_a_copy_that_does_not_answer_is_lost_at_the_next_checkpoint() -> None:
    world = _World()
    world.stuck = True
    pairing, sent = await _through(world, *_came(1, rest=False))
    assert pairing.machine.state is State.LOST
    assert sent == [messages.Received(1)]


async def test_a_copy_that_rests_is_loaded_when_the_primary_is_lost() -> None:
    world = _World()
    lost = events.PrimaryLost("silent")
    pairing, _ = await _through(world, *_came(1, rest=False), *_came(2, rest=True), lost)
    assert world.calls[-4:] == ["restore", "load 2", "restore", "cont"]
    assert pairing.machine.state is State.READY


_ALL = ["received", "store", "stop", "restore", "load", "mend", "start", "ready"]


async def test_each_phase_of_a_checkpoint_is_measured_whether_the_copy_is_loaded_or_rests() -> None:
    world = _World()
    await _through(world, *_came(1, rest=False), *_came(2, rest=False), *_came(3, rest=True))
    assert world.placed == [
        (1, _ALL),
        (2, _ALL),
        (3, ["received", "store", "stop", "ready"]),
    ]


async def test_a_load_for_a_take_over_is_measured_without_what_was_still_on_its_way() -> None:
    world = _World()
    coming = events.Planned(3, rest=False)
    lost = events.PrimaryLost("silent")
    await _through(world, *_came(1, rest=False), *_came(2, rest=True), coming, lost)
    assert world.placed[2:] == [(2, ["restore", "load", "mend", "start", "ready"])]


async def test_a_copy_that_runs_on_alone_has_placed_nothing() -> None:
    world = _World()
    await _through(world, *_came(1, rest=False), events.Planned(2, rest=False), events.PrimaryLost("silent"))
    assert [number for number, _ in world.placed] == [1]


async def test_memory_is_compared_once_it_is_stored_and_once_more_before_the_copy_runs() -> None:
    world = _World()
    await _through(world, messages.RamHash.of(1, 7), *_came(1, rest=False))
    assert world.calls == [
        "asked",
        "store 1",
        "hash cache",
        "stop",
        "restore",
        "load 1",
        "restore",
        "hash VM",
        "cont",
    ]
    assert world.verified == [(1, "cache"), (1, "VM")]


async def test_without_a_hash_of_the_primary_nothing_is_compared() -> None:
    world = _World()
    await _through(world, *_came(1, rest=False), messages.RamHash.of(3, 8), *_came(2, rest=False))
    assert not [call for call in world.calls if call.startswith("hash")]
    assert world.verified == []


async def test_a_cache_that_differs_is_refused_before_the_copy_is_touched() -> None:
    world = _World(cache=8)
    pairing, _ = await _through(world, messages.RamHash.of(1, 7), *_came(1, rest=False))
    assert pairing.machine.state is State.LOST
    assert world.calls == ["asked", "store 1", "hash cache"]
    assert world.told[-1] == role.ReplicaFailed(
        "checkpoint 1 failed at store: the RAM cache is not what the primary's RAM was at the cut"
        " (xxh3 0000000000000008 instead of 0000000000000007)"
    )


async def test_a_copy_whose_ram_differs_never_runs() -> None:
    world = _World(ram=8)
    pairing, _ = await _through(world, messages.RamHash.of(1, 7), *_came(1, rest=False))
    assert pairing.machine.state is State.LOST
    assert "cont" not in world.calls
    assert "failed at mend: the VM's RAM is not" in world.told[-1].why
    assert world.verified == [(1, "cache")]


async def test_a_copy_that_rests_is_compared_with_its_own_checkpoint_when_it_is_loaded_after_all() -> None:
    world = _World()
    hashes = [messages.RamHash.of(n, 7) for n in (1, 2)]
    first, second = _came(1, rest=False), _came(2, rest=True)
    coming = messages.RamHash.of(3, 9)
    lost = events.PrimaryLost("silent")
    await _through(world, hashes[0], *first, hashes[1], *second, coming, lost)
    assert world.calls[-5:] == ["restore", "load 2", "restore", "hash VM", "cont"]
    assert world.verified == [(1, "cache"), (1, "VM"), (2, "cache"), (2, "VM")]


async def test_what_comes_after_the_end_is_of_no_consequence() -> None:
    world = _World()
    pairing, sent = await _through(world, *_came(1, rest=False))
    before = (list(world.calls), list(world.told), list(sent))
    await pairing.end()
    for event in (*_came(2, rest=False), events.PrimaryLost("silent"), events.StepFailed("mend", "no QEMU")):
        pairing.feed(event, 0)
    assert (world.calls, world.told, sent) == before
