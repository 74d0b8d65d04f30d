"""`make soak N=..`: a guest that looks after itself outlives one host after the other.

The guest's checks (`/check`: memory, files, clocks) and three clients go on through all losses; after each of
them the guest is asked for its verdict, and the host that was lost fills up again. A client that notices
anything, a fault that the guest finds and a pair that does not come back end the run with exit code 1, and
their logs are kept.
"""

from __future__ import annotations

import random
import signal
import time
from itertools import cycle
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import click
from attrs import define, frozen

from bench.kept import folder_of
from bench.laboratory import ended, guest, stopped
from colo.lab.pair import HOSTS, Options, Pair, other
from colo.lab.trial import Moment, Side, Trial, strike, thaw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from colo.lab.records import WatchedClient

_QEMUS = ("7.2", "10.0", "newest")
_MIB = 128
_TIMING = {"heartbeat_ms": 50, "peer_timeout_ms": 500, "lease_ttl_ms": 1200, "lease_renew_ms": 300}
_WRITE = ("/write?pages=1000&mib=8", "writing 1000 pages/s over 8 MiB")
_CHECK = ("/check", "checking")
_VERDICT = ("/check/verdict?rounds=1", "1 rounds: intact")
_COUNTER = "counter"
_CLIENTS = {
    _COUNTER: (_COUNTER, "--interval", "0.01"),
    "gets": ("gets", "--interval", "0.02"),
    "download": ("download", "--mib", "4"),
}
_MOMENT_S = 1.0
_END_S = 10.0


@frozen
class Run:
    """One guest."""

    qemu: str
    failovers: int
    first: int
    """How many failovers others have had before."""
    cpus: int
    mode: str

    @property
    def options(self) -> Options:
        """What differs from the defaults of a pair."""
        vm = {"memory_mib": _MIB, "cpus": self.cpus}
        return Options(vm=vm, checkpoint={"mode": self.mode}, timing=_TIMING)

    def __str__(self) -> str:
        return f"QEMU {self.qemu}, {self.cpus} CPUs, {self.mode}, from failover {self.first + 1}"


@click.command()
@click.argument("failovers", type=int)
@click.option("--qemu", "qemus", multiple=True, default=_QEMUS, help="In turn; may repeat.")
@click.option("--each", default=20, help="Failovers of one guest.")
@click.option("--cpus", default=1, help="Of the guest.")
@click.option("--mode", type=click.Choice(["auto", "lockstep", "epoch"]), default="auto")
def main(failovers: int, qemus: tuple[str, ...], each: int, cpus: int, mode: str) -> None:
    """So many FAILOVERS; hosts that were not the primary are lost on top. Exit 1 at the first problem."""
    losses = 0
    for first, qemu in zip(range(0, failovers, each), cycle(qemus), strict=False):
        run = Run(qemu, min(each, failovers - first), first, cpus, mode)
        with folder_of(str(run)) as folder:
            losses += anyio.run(_soak, run, folder)
    click.echo(
        f"{failovers} failovers, {losses} losses of a host: no client noticed one, the guests found no fault"
    )


def losses() -> Iterator[Trial]:
    """For ever: a primary in each of four ways, then a secondary."""
    signals = (signal.SIGKILL, signal.SIGSTOP)
    ways = [(number, moment) for moment in (Moment.LOAD, Moment.CHECKPOINT) for number in signals]
    for way in cycle(ways):
        yield from (Trial(*each, Side.PRIMARY) for each in ways)
        yield Trial(*way, Side.SECONDARY)


async def _soak(run: Run, folder: Path) -> int:
    """How many hosts were lost. Raises ColoError, TimeoutError and RuntimeError."""
    async with Pair(folder, guest(run.qemu), run.options) as pair:
        await pair.protected()
        await _get(pair, "writer", *_WRITE)
        await _get(pair, "check", *_CHECK)
        clients = {name: pair.client(name, *arguments) for name, arguments in _CLIENTS.items()}
        soak = Soak(pair, clients, random.Random(str(run)))  # noqa: S311 - no secret
        failovers = 0
        for trial in losses():
            told = await soak.lose(trial)
            failovers += trial.side is Side.PRIMARY
            click.echo(f"{run.first + failovers:4} {run.qemu:6} {told}")
            if failovers == run.failovers:
                break
        for client in clients.values():
            await stopped(client)
    return soak.losses


@define
class Soak:
    """A protected guest with its clients, and who is the primary at the moment."""

    pair: Pair
    clients: dict[str, WatchedClient]
    draw: random.Random
    primary: str = HOSTS[0]
    losses: int = 0

    async def lose(self, trial: Trial) -> str:
        """Loses one host, has the guest's verdict and protects it again; what there is to tell."""
        began, counter = time.monotonic(), self.clients[_COUNTER].record
        counter.read()
        answers = len(counter.waits_ms)
        await anyio.sleep(self.draw.uniform(0, _MOMENT_S))  # at any moment
        await self._still_protected()
        step = await strike(trial, self.pair, self.primary)
        victim = trial.victim(self.primary)
        self.primary, self.losses = other(victim), self.losses + 1
        await self.pair.until(self.primary, "degraded")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._back, trial, victim)
            await _get(self.pair, f"verdict-{self.losses}", *_VERDICT)
        async for _ in self.pair.protect(self.primary):
            pass
        self._unnoticed()
        outage = max(counter.waits_ms[answers:], default=0.0)
        cycle_s = time.monotonic() - began
        return f"{trial!s:30} step {step:10} outage {outage:5.0f} ms  cycle {cycle_s:4.1f} s"

    async def _still_protected(self) -> None:
        status = await self.pair.status(self.primary)
        if status.state != "protected":
            raise RuntimeError(f"the protection ended by itself: {status.why}")

    async def _back(self, trial: Trial, victim: str) -> None:
        """The host that was lost comes back with nothing."""
        if trial.number is signal.SIGKILL:
            await anyio.to_thread.run_sync(self.pair.hosts[victim].agent.wait, _END_S)
            await self.pair.start_agent(victim)
        else:
            await thaw(trial, self.pair, victim)

    def _unnoticed(self) -> None:
        """A client that has ended has found something."""
        for client in self.clients.values():
            client.record.read()
            if client.process.ended() is not None:
                raise RuntimeError(client.problem or f"{client.name} has ended")


async def _get(pair: Pair, name: str, path: str, expected: str) -> None:
    await ended(pair.client(name, "gets", "--count", "1", "--path", path, "--expect", expected))


if __name__ == "__main__":
    main()
