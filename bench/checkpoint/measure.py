"""One pair after the other, each under its loads."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from attrs import evolve

from bench.checkpoint.memcpy import copy_rate
from bench.checkpoint.processes import usages, used
from bench.checkpoint.summary import of_secondary, summary
from bench.checkpoints import collect
from bench.laboratory import ended, stopped
from colo.hypervisor.host_memory import available
from colo.lab.pair import HOSTS, Guest, Options, Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.checkpoint.plan import Load, Setup

PERIOD_MS = 500
"""More often than by default: there is more to count."""
_WARM_UP_S = 3.0
_STOP = "/write?pages=0"
_SPARE_MIB = 2048
"""What a pair takes besides its RAM, with the copies of what is in use of that."""


def room_for(setup: Setup) -> str:
    """Why this pair does not fit into this machine's memory; nothing if it does."""
    free_mib = available() >> 20
    need = 2 * setup.memory_mib + _SPARE_MIB
    return f"needs {need} MiB, {free_mib} are free" if free_mib < need else ""


async def measure(
    guest: Guest, setup: Setup, seconds: float, tell: Callable[[str], None], others: Options | None = None
) -> list[dict[str, Any]]:
    """One row for each load. `others`: what differs besides from a pair as usual."""
    vm: dict[str, Any] = {"memory_mib": setup.memory_mib, "cpus": setup.cpus}
    options = evolve(others or Options(), vm=vm)
    options = evolve(options, checkpoint={"period_ms": PERIOD_MS} | options.checkpoint)
    about = vm | options.checkpoint | {"link_mbit": options.link.rate_mbit if options.link else None}
    rows = []
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        async with Pair(Path(folder), guest, options, boot=True) as pair:
            await pair.guest_answers()
            about["first_copy"] = await _first_copy(pair)
            tell(f"{setup.memory_mib} MiB, {setup.cpus} CPU, protected: {about['first_copy']}")
            rate = await anyio.to_thread.run_sync(copy_rate)
            for load in setup.loads:
                tell(f"{setup.memory_mib} MiB, {setup.cpus} CPU, {load.name} ...")
                checkpoints, placed, processes = await _under(pair, load, seconds)
                row = about | {"load": load.name, "copy_bytes_per_s": round(rate)}
                rows.append(
                    row
                    | summary(checkpoints, rate)
                    | {"secondary": of_secondary(placed), "processes": processes}
                )
    return rows


async def _first_copy(pair: Pair) -> dict[str, float]:
    """Of a VM that has just booted: seconds until it is protected, since its copy is there to be filled; MiB
    that the rounds of pre-copy took on the link; rounds.
    """
    began, sent = 0.0, {0: 0}
    async for step in pair.protect(HOSTS[0]):
        if step.phase == "pre-copy":
            began = began or monotonic()
            sent[step.round] = step.sent_bytes
    mib = round(sum(sent.values()) / (1 << 20), 1)
    return {"s": round(monotonic() - began, 3), "mib": mib, "rounds": max(sent)}


async def _under(
    pair: Pair, load: Load, seconds: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """The checkpoints under that load, as the primary and as the secondary tell of them; what it took."""
    client = pair.client(f"load-{load.name}", *load.client) if load.client else None
    if load.pages_per_s:
        await _get(pair, load.page)
    if load.name != "idle":
        await anyio.sleep(_WARM_UP_S)  # caches, windows and policies are then what they stay
    before = usages(pair)
    checkpoints, placed = await _both(pair, seconds)
    processes = used(before, usages(pair), seconds)
    if client is not None:
        await stopped(client)
    if load.pages_per_s:
        await _get(pair, _STOP)
    return checkpoints, placed, processes


async def _both(pair: Pair, seconds: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}

    async def note(host: str, kind: str) -> None:
        found[kind] = await collect(pair, host, seconds, kind)

    async with anyio.create_task_group() as tasks:
        for host, kind in zip(HOSTS, ("checkpoint", "placed"), strict=True):
            tasks.start_soon(note, host, kind)
    return found["checkpoint"], found["placed"]


async def _get(pair: Pair, path: str) -> None:
    """One page of the guest."""
    name = "get" + path.translate(str.maketrans("/?&=", "----"))
    await ended(pair.client(name, "gets", "--count", "1", "--path", path, "--any-body"))
