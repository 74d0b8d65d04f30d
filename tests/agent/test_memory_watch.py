"""Written memory is watched, with a tracker and a hypervisor that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from attrs import define, field

from colo._core import TrackingLostError
from colo.agent.memory_watch import MemoryWatch
from colo.model.checkpoint.events import Reason, Trigger
from colo.model.memory_limit import MemoryLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

_PATIENCE_S = 5.0
_MOST = 1000


@define
class _Vm:
    written: int = 0
    fails: Exception | None = None
    calls: list[str] = field(factory=list)
    looked: anyio.Event = field(factory=anyio.Event)

    @property
    def hypervisor(self) -> _Vm:
        return self

    def tracker(self) -> _Vm:
        return self

    def count(self) -> int:
        if self.fails is not None:
            raise self.fails
        self.calls.append("count")
        return self.written

    async def stop(self) -> None:
        self.calls.append("stop")
        self.looked.set()

    async def cont(self) -> None:
        self.calls.append("cont")


@define
class _World:
    vm: _Vm
    watch: MemoryWatch
    asked: list[Trigger]
    slowed: list[float]
    in_flight: list[bool]

    async def until(self, condition: Any) -> None:
        with anyio.fail_after(_PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - looks come by the clock
                await anyio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[_World]:
    vm, asked, slowed, in_flight = _Vm(), list[Trigger](), list[float](), [False]
    limit = MemoryLimit(_MOST, 1_000_000_000, 0, 0)
    watch = MemoryWatch(cast("Any", vm), limit, lambda: in_flight[0], asked.append, slowed.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        yield _World(vm, watch, asked, slowed, in_flight)
        watch.stop()
        await watch.over()


async def test_half_of_what_fits_asks_for_a_checkpoint_and_says_how_much_it_is(world: _World) -> None:
    world.vm.written = 499
    await world.until(lambda: len(world.vm.calls) > 2)
    assert world.asked == []
    world.vm.written = 500
    await world.until(lambda: world.asked)
    detail = "500 pages are written, a checkpoint may hold 1000"
    assert world.asked[0] == Trigger(Reason.MEMORY, detail)
    assert "stop" not in world.vm.calls


async def test_nobody_looks_while_a_checkpoint_holds_the_vm(world: _World) -> None:
    await world.until(lambda: world.vm.calls)
    await world.watch.hold()
    before = len(world.vm.calls)
    await anyio.sleep(0.1)
    assert len(world.vm.calls) == before
    world.watch.let_go()
    await world.until(lambda: len(world.vm.calls) > before)


async def test_with_a_checkpoint_in_flight_the_vm_is_slowed_down_and_runs_when_it_is_through(
    world: _World,
) -> None:
    world.in_flight[0] = True
    world.vm.written = _MOST
    await world.until(lambda: "stop" in world.vm.calls)
    world.in_flight[0] = False
    world.watch.through()
    with anyio.fail_after(0.5):  # far less than a halt
        await world.watch.hold()
    assert world.vm.calls[-2:] == ["stop", "cont"]
    assert len(world.slowed) == 1


async def test_a_pairing_that_ends_leaves_a_vm_that_was_slowed_down_running(world: _World) -> None:
    world.in_flight[0] = True
    world.vm.written = _MOST
    await world.vm.looked.wait()
    world.watch.stop()
    with anyio.fail_after(0.5):
        await world.watch.over()
    assert world.vm.calls[-1] == "cont"


async def test_a_tracker_that_fails_is_left_to_the_next_checkpoint_which_is_asked_for(world: _World) -> None:
    world.vm.fails = TrackingLostError("process 7 mapped its RAM anew")
    await world.until(lambda: world.asked)
    await world.watch.over()
    assert [trigger.reason for trigger in world.asked] == [Reason.MEMORY]
    assert "mapped its RAM anew" in world.asked[0].detail
