"""One pair after the other, each under its loads."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from bench.checkpoint.memcpy import copy_rate
from bench.checkpoint.summary import summary
from bench.checkpoints import collect
from bench.laboratory import ended, stopped
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
_MEMORY = Path("/proc/meminfo")


def room_for(setup: Setup) -> str:
    """Why this pair does not fit into this machine's memory; nothing if it does."""
    lines = (line.split() for line in _MEMORY.read_text().splitlines())
    free_mib = next(int(words[1]) for words in lines if words[0] == "MemAvailable:") >> 10
    need = 2 * setup.memory_mib + _SPARE_MIB
    return f"needs {need} MiB, {free_mib} are free" if free_mib < need else ""


async def measure(
    guest: Guest, setup: Setup, seconds: float, tell: Callable[[str], None], period_ms: int = PERIOD_MS
) -> list[dict[str, Any]]:
    """One row for each load."""
    options = Options(
        vm={"memory_mib": setup.memory_mib, "cpus": setup.cpus}, checkpoint={"period_ms": period_ms}
    )
    about = {"memory_mib": setup.memory_mib, "cpus": setup.cpus, "period_ms": period_ms}
    rows = []
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        async with Pair(Path(folder), guest, options) as pair:
            await pair.protected()
            rate = await anyio.to_thread.run_sync(copy_rate)
            for load in setup.loads:
                tell(f"{setup.memory_mib} MiB, {setup.cpus} CPU, {load.name} ...")
                checkpoints = await _under(pair, load, seconds)
                row = about | {"load": load.name, "copy_bytes_per_s": round(rate)}
                rows.append(row | summary(checkpoints, rate))
    return rows


async def _under(pair: Pair, load: Load, seconds: float) -> list[dict[str, Any]]:
    """The checkpoints under that load."""
    client = pair.client(f"load-{load.name}", *load.client) if load.client else None
    if load.pages_per_s:
        await _get(pair, load.page)
    if load.name != "idle":
        await anyio.sleep(_WARM_UP_S)  # caches, windows and policies are then what they stay
    checkpoints = await collect(pair, HOSTS[0], seconds)
    if client is not None:
        await stopped(client)
    if load.pages_per_s:
        await _get(pair, _STOP)
    return checkpoints


async def _get(pair: Pair, path: str) -> None:
    """One page of the guest."""
    name = "get" + path.translate(str.maketrans("/?&=", "----"))
    await ended(pair.client(name, "gets", "--count", "1", "--path", path, "--any-body"))
