"""GET latency and download throughput of the same VM, unprotected and then protected."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from bench.checkpoints import spread
from colo.lab.pair import HOSTS, Guest, Pair
from colo.lab.records import Record

if TYPE_CHECKING:
    from colo.lab.process import HostProcess

_DOWNLOAD_MIB = 16


async def measure_traffic(guest: Guest, seconds: float) -> dict[str, Any]:
    """Latencies in ms, throughput in MiB/s, and protected / unprotected as ratios."""
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        async with Pair(Path(folder), guest, boot=True) as pair:
            await pair.guest_answers()
            unprotected = await _measure(pair, "unprotected", seconds)
            async for _ in pair.protect(HOSTS[0]):
                pass
            protected = await _measure(pair, "protected", seconds)
    return {
        "unprotected": unprotected,
        "protected": protected,
        "get_p50_ratio": round(protected["get_ms"]["median"] / unprotected["get_ms"]["median"], 2),
        "download_ratio": round(protected["mib_per_s"] / unprotected["mib_per_s"], 2),
    }


async def _measure(pair: Pair, name: str, seconds: float) -> dict[str, Any]:
    gets = await _run(pair.client(f"{name}-gets", "gets"), seconds)
    arguments = ("--mib", str(_DOWNLOAD_MIB))
    downloads = await _run(pair.client(f"{name}-downloads", "download", *arguments), seconds)
    return {
        "get_ms": spread(gets.waits_ms),
        "mib_per_s": round(downloads.mib / (sum(downloads.waits_ms) / 1000), 3),
        "downloads": downloads.answers,
    }


async def _run(process: HostProcess, seconds: float) -> Record:
    await anyio.sleep(seconds)
    await anyio.to_thread.run_sync(process.end)
    record = Record(process.log)
    record.read()
    if not record.whole:
        raise RuntimeError(f"the client says: {record.why or 'nothing'}")
    return record
