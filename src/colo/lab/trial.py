"""One trial: a protected VM with clients at work, one host struck, and what the clients saw of it."""

from __future__ import annotations

import signal
from enum import Enum
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import frozen

from colo.errors import ColoError
from colo.lab.pair import HOSTS, Options, Pair, other

if TYPE_CHECKING:
    from pathlib import Path

    from colo.lab.pair import Guest
    from colo.lab.records import WatchedClient

_BEFORE, _AFTER = 3, 6
"""Answers or pieces of a transfer that each client has had when the host is struck, and has after it."""
_END_S = 90.0
_WRITE = "/write?pages=4000&mib=32"
"""Enough pages written per second that a checkpoint takes long enough to be hit."""


_BETWEEN = {"running", "resting", "idle"}
"""Steps of a pairing that has no checkpoint in flight."""


class Moment(Enum):
    """What goes on when the host is struck."""

    IDLE = "idle"  # one connection, a request now and then
    LOAD = "load"  # counter, GETs and a download at full speed
    CHECKPOINT = "checkpoint"  # the same, in the middle of a checkpoint


class Side(Enum):
    """What the host is at that moment."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


@frozen
class Trial:
    """How and when which host is struck."""

    number: signal.Signals
    moment: Moment
    side: Side

    def __str__(self) -> str:
        return f"{self.number.name}-{self.moment.value}-{self.side.value}"

    def victim(self, primary: str) -> str:
        """The host that is struck, where this one is the primary."""
        return primary if self.side is Side.PRIMARY else other(primary)


@frozen
class Outcome:
    """What the clients saw: verdicts that are not `whole`, the longest wait (ms), and how far they came."""

    problems: tuple[str, ...]
    outage_ms: float
    answers: int
    mib: int
    step: str
    """Where the victim's checkpoint was when it was struck."""


def all_trials() -> tuple[Trial, ...]:
    """The whole matrix."""
    signals = (signal.SIGKILL, signal.SIGSTOP)
    return tuple(Trial(number, moment, side) for number in signals for moment in Moment for side in Side)


async def carry_out(trial: Trial, folder: Path, guest: Guest, options: Options | None = None) -> Outcome:
    """Raises ColoError or TimeoutError when the pair did not get so far or did not survive."""
    async with Pair(folder, guest, options, boot=True) as pair:
        await pair.protected()
        clients = await _clients(trial, pair)
        await _go_on(clients, _BEFORE)
        step = await strike(trial, pair, HOSTS[0])
        victim = trial.victim(HOSTS[0])
        await pair.until(other(victim), "degraded")
        await thaw(trial, pair, victim)
        await _go_on(clients, _AFTER)
        return await _outcome(clients, step)


async def _clients(trial: Trial, pair: Pair) -> tuple[WatchedClient, ...]:
    pace = "0.2" if trial.moment is Moment.IDLE else "0.005"
    wanted = [("counter", ("--interval", pace))]
    if trial.moment is not Moment.IDLE:
        wanted += [("gets", ("--interval", "0.02")), ("download", ("--mib", "8"))]
    if trial.moment is Moment.CHECKPOINT:
        await pair.client("write", "gets", "--count", "1", "--path", _WRITE).ended(_END_S)
    return tuple(pair.client(kind, kind, *arguments) for kind, arguments in wanted)


async def _go_on(clients: tuple[WatchedClient, ...], steps: int) -> None:
    for client in clients:
        await client.goes_on(steps, _END_S)


async def strike(trial: Trial, pair: Pair, primary: str) -> str:
    """Hits the victim; in the middle of a checkpoint where the trial wants that. Where its checkpoint was."""
    for name in HOSTS:
        status = await pair.status(name)
    victim = pair.hosts[trial.victim(primary)]
    if trial.moment is not Moment.CHECKPOINT:
        victim.strike(trial.number)
        return status.step
    async with anyio.create_task_group() as tasks, pair.agent(primary) as agent:

        async def trigger() -> None:
            try:
                while True:
                    await agent.checkpoint()
            except ColoError:
                return  # struck

        tasks.start_soon(trigger)
        with anyio.fail_after(_END_S):
            while (status := await pair.status(victim.name)).step in _BETWEEN:
                pass
        victim.strike(trial.number)
        tasks.cancel_scope.cancel()
    return status.step


async def thaw(trial: Trial, pair: Pair, victim: str) -> None:
    """A host that was only frozen comes back: it must find out by itself that it is not wanted any more."""
    if trial.number is signal.SIGSTOP:
        pair.hosts[victim].strike(signal.SIGCONT)
        await pair.until(victim, "idle")


async def _outcome(clients: tuple[WatchedClient, ...], step: str) -> Outcome:
    for client in clients:
        await client.finish(_END_S)
    problems = tuple(problem for client in clients if (problem := client.problem) is not None)
    records = {client.name: client.record for client in clients}
    mib = records["download"].mib if "download" in records else 0
    return Outcome(problems, records["counter"].longest_ms, records["counter"].answers, mib, step)
