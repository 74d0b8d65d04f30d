"""`python -m bench.verify`: is the secondary's memory the primary's? Counted with each QEMU, under load.

The guest answers GETs, sends downloads and writes memory while checkpoints follow each other. At each of them
the secondary compares the hash of its RAM cache, and of its VM's RAM before that runs, with the hash of the
primary's RAM at the cut (`[checkpoint] verify`). A difference ends the pair; the exit code is 1 then.
"""

from __future__ import annotations

import time
from itertools import product
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import click
from attrs import frozen

from bench.kept import folder_of
from bench.laboratory import ended, guest
from colo.lab.pair import HOSTS, Options, Pair

if TYPE_CHECKING:
    from pathlib import Path

_WRITERS = ("/write?pages=2000&mib=16", "/patterns?pages=2000&mib=16")
_VERDICT = "/patterns/verdict"
_CLIENTS = {
    "gets": ("gets", "--interval", "0.01"),
    "download": ("download", "--mib", "4"),
    "counter": ("counter", "--interval", "0.02"),
}
_LOOK_S = 0.5
_SLOWEST_S = 3.0
_END_S = 90.0


@frozen
class Run:
    """One pair."""

    qemu: str
    cpus: int
    checkpoints: int
    memory_mib: int
    period_ms: int

    def __str__(self) -> str:
        return f"QEMU {self.qemu}, {self.cpus} vCPU"


@click.command()
@click.option("--checkpoints", default=1000, help="How many each pair has to compare.")
@click.option("--qemu", "qemus", multiple=True, default=("7.2", "10.0", "newest"), help="May repeat.")
@click.option("--cpus", "counts", type=int, multiple=True, default=(1, 2), help="May repeat.")
@click.option("--memory", default=128, help="MiB.")
@click.option("--period", default=50, help="From one checkpoint to the next, ms.")
def main(checkpoints: int, qemus: tuple[str, ...], counts: tuple[int, ...], memory: int, period: int) -> None:
    """Compare all memory at many checkpoints, with each QEMU and number of CPUs."""
    for qemu, cpus in product(qemus, counts):
        run = Run(qemu, cpus, checkpoints, memory, period)
        with folder_of(str(run)) as folder:
            click.echo(anyio.run(_verify, run, folder))


async def _verify(run: Run, folder: Path) -> str:
    """A line of figures. Raises ColoError and TimeoutError."""
    options = Options(
        vm={"memory_mib": run.memory_mib, "cpus": run.cpus},
        checkpoint={"verify": True, "period_ms": run.period_ms, "mode": "lockstep"},
    )
    async with Pair(folder, guest(run.qemu), options) as pair:
        await pair.protected()
        for number, path in enumerate(_WRITERS):
            await _get(pair, f"writer-{number}", path)
        clients = [pair.client(name, *argv) for name, argv in _CLIENTS.items()]
        began = time.monotonic()
        verified = await _compared(pair, run.checkpoints)
        seconds = time.monotonic() - began
        for client in clients:
            await client.finish(_END_S)
        await _get(pair, "verdict", _VERDICT, "--expect", "intact")
        status = await pair.status(HOSTS[0])
    if problems := [client.problem for client in clients if client.problem]:
        raise RuntimeError("; ".join(problems))
    taken = status.checkpoints
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(taken.by_reason.items()))
    return (
        f"{run} ({status.qemu}): {verified['cache']} caches and {verified['VM']} VMs equal"
        f" in {seconds:.0f} s; {reasons}; median pause {taken.median_pause_ms} ms"
    )


async def _compared(pair: Pair, enough: int) -> dict[str, int]:
    """Waits until the secondary has compared so many VMs, and gives the counts. Raises RuntimeError."""
    with anyio.fail_after(_SLOWEST_S * enough):
        while True:
            verified = (await pair.status(HOSTS[1])).checkpoints.verified
            if verified.get("VM", 0) >= enough:
                return verified
            primary = await pair.status(HOSTS[0])
            if primary.state != "protected":
                raise RuntimeError(f"no pair after {verified}: {primary.why}")
            await anyio.sleep(_LOOK_S)  # counts are told when asked for


async def _get(pair: Pair, name: str, path: str, *more: str) -> None:
    await ended(pair.client(name, "gets", "--count", "1", "--path", path, *more))


if __name__ == "__main__":
    main()
