"""Turns: at once when asked, at their time otherwise, and when something is heard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from colo.agent.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

_NEVER_S = 60.0
_PATIENCE_S = 5.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def test_a_turn_comes_at_its_time_and_again(pipe: tuple[int, int]) -> None:
    done = anyio.Event()
    left = [0.0, 0.001, 0.0]

    def turn() -> float:
        if left:
            return left.pop()
        done.set()
        return _NEVER_S

    await _until(done, Turns(turn, lambda: None), pipe[0])


async def test_a_turn_that_is_asked_for_comes_at_once_even_in_the_middle_of_one(
    pipe: tuple[int, int],
) -> None:
    done = anyio.Event()
    count = 0

    def turn() -> float:
        nonlocal count
        count += 1
        if count == 1:
            turns.soon()
            turns.soon()
        else:
            done.set()
        return _NEVER_S

    turns = Turns(turn, lambda: None)
    await _until(done, turns, pipe[0])
    assert count == 2


async def test_what_is_heard_comes_without_a_turn_of_its_own(pipe: tuple[int, int]) -> None:
    done = anyio.Event()

    def hear() -> None:
        assert os.read(pipe[0], 1) == b"!"
        done.set()

    os.write(pipe[1], b"!")
    await _until(done, Turns(lambda: _NEVER_S, hear), pipe[0])


async def test_what_goes_wrong_in_a_turn_ends_it(pipe: tuple[int, int]) -> None:
    def turn() -> float:
        raise ValueError("a bug")

    with anyio.fail_after(_PATIENCE_S), pytest.raises(ValueError, match="a bug"):
        await Turns(turn, lambda: None).run(pipe[0])


async def test_after_its_end_nothing_is_called(pipe: tuple[int, int]) -> None:
    calls: list[bool] = []

    def turn() -> float:
        calls.append(True)
        return _NEVER_S

    turns = Turns(turn, lambda: None)
    with anyio.move_on_after(0.01):
        await turns.run(pipe[0])
    turns.soon()
    await anyio.lowlevel.checkpoint()
    assert calls == [True]


async def _until(done: anyio.Event, turns: Turns, descriptor: int) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run, descriptor)
        with anyio.fail_after(_PATIENCE_S):
            await done.wait()
        tasks.cancel_scope.cancel()
