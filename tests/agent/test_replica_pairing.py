"""The secondary's steps, with a hypervisor, a relay and a replica that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from attrs import define, field

from colo.agent.replica_pairing import AT_ONCE, ReplicaPairing
from colo.model import messages
from colo.model.checkpoint import events
from colo.model.checkpoint.secondary_table import State

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


@define
class _World:
    """Stands for the relay, the VM with its hypervisor and tracker, and the replica: notes what is called."""

    newer: int = 0
    pages: int = 8
    calls: list[str] = field(factory=list)

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

    def device(self, n: int) -> bytes:
        return str(n).encode()

    async def load(self, device: bytes) -> None:
        self.calls.append(f"load {device.decode()}")

    async def run_state(self) -> str:
        self.calls.append("asked")
        return "restore-vm"

    async def stop_clean(self) -> None:
        self.calls.append("stop")

    async def cont(self) -> None:
        self.calls.append("cont")

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _through(world: _World, *happens: events.SecondaryEvent) -> tuple[ReplicaPairing, list[Any]]:
    """A pairing after these events, each when no step is under way."""
    post, posted = anyio.create_memory_object_stream[Any](8)
    sent: list[Any] = []
    async with anyio.create_task_group() as tasks, post, posted:
        anything = cast("Any", world)
        pairing = ReplicaPairing(
            cast("Any", None),
            anything,
            anything,
            tasks,
            post.send_nowait,
            lambda _: None,
            sent.append,
            anything,
        )
        for event in happens:
            pairing.feed(event, 0)
            while pairing.machine.state not in (State.RUNNING, State.RESTING, State.READY, State.EMPTY):
                pairing.feed(await posted.receive(), 0)
    return pairing, sent


def _came(n: int, *, rest: bool) -> tuple[events.SecondaryEvent, ...]:
    return events.Planned(n, rest), events.StateComplete(n)


async def test_a_copy_that_rests_is_asked_whether_it_lives_and_otherwise_left_alone() -> None:
    world = _World(newer=AT_ONCE - 1)
    _, sent = await _through(world, *_came(1, rest=False), *_came(2, rest=True), *_came(3, rest=True))
    assert world.calls[-4:] == ["store 2", "stop", "asked", "store 3"]
    assert sent[-2:] == [messages.Received(3), messages.Stored(3)]


async def test_pages_that_pile_up_are_restored_before_there_are_too_many() -> None:
    world = _World(newer=AT_ONCE)
    await _through(world, *_came(1, rest=False), *_came(2, rest=True), *_came(3, rest=True))
    assert world.calls[-5:] == ["store 2", "stop", "asked", "store 3", "restore"], "never while the copy runs"


async def test_a_copy_that_rests_is_loaded_when_the_primary_is_lost() -> None:
    world = _World()
    lost = events.PrimaryLost("silent")
    pairing, _ = await _through(world, *_came(1, rest=False), *_came(2, rest=True), lost)
    assert world.calls[-4:] == ["restore", "load 2", "restore", "cont"]
    assert pairing.machine.state is State.READY
