"""What a client feels: a protected VM against two unprotected ones that work side by side on this machine.

A protected VM is two VMs that compute the same: that is the fair comparison. One VM alone is shown too.
"""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from bench.checkpoints import spread
from bench.laboratory import ended
from colo.config import CheckpointConfig
from colo.lab.pair import HOSTS, Guest, Options, Pair
from colo.lab.records import Record

_DOWNLOAD_MIB = 64
"""Long enough that a connection's slow start does not decide."""
_PERIOD_MS = CheckpointConfig().period_ms
"""The default; the laboratory's own is shorter."""
_PATIENCE_S = 60.0
_POLL_S = 0.05


async def measure_traffic(guest: Guest, seconds: float) -> dict[str, Any]:
    """Latencies in ms, throughput in MiB/s of each VM, and protected / side by side as ratios."""
    async with AsyncExitStack() as stack:
        pairs = [await _booted(stack, guest) for _ in range(2)]
        alone = await _measure(pairs[:1], "alone", seconds)
        side_by_side = await _measure(pairs, "side-by-side", seconds)
    async with AsyncExitStack() as stack:
        pair = await _booted(stack, guest)
        async for _ in pair.protect(HOSTS[0]):
            pass
        protected = await _measure([pair], "protected", seconds)
    return {
        "alone": alone,
        "side by side": side_by_side,
        "protected": protected,
        "ratio": {
            "get_p50": round(protected["get_ms"]["median"] / side_by_side["get_ms"]["median"], 2),
            "get_p99": round(protected["get_ms"]["p99"] / side_by_side["get_ms"]["p99"], 2),
            "mib_per_s": round(protected["mib_per_s"] / side_by_side["mib_per_s"], 2),
        },
    }


async def _booted(stack: AsyncExitStack, guest: Guest) -> Pair:
    """A laboratory whose first host runs the VM, unprotected."""
    folder = stack.enter_context(TemporaryDirectory(prefix="colo-bench-"))
    options = Options(checkpoint={"period_ms": _PERIOD_MS})
    pair = await stack.enter_async_context(Pair(Path(folder), guest, options, boot=True))
    await pair.guest_answers()
    return pair


async def _measure(pairs: list[Pair], name: str, seconds: float) -> dict[str, Any]:
    """All these VMs have the same load at the same time."""
    gets = await _load(pairs, f"{name}-gets", ("gets",), seconds)
    downloads = await _load(pairs, f"{name}-downloads", ("download", "--mib", str(_DOWNLOAD_MIB)), seconds)
    waits_s = sum(sum(record.waits_ms) for record in downloads) / 1000
    return {
        "vms": len(pairs),
        "get_ms": spread([wait for record in gets for wait in record.waits_ms]),
        "mib_per_s": round(_DOWNLOAD_MIB * sum(record.answers for record in downloads) / waits_s, 3),
        "downloads": sum(record.answers for record in downloads),
    }


async def _load(pairs: list[Pair], name: str, load: tuple[str, ...], seconds: float) -> list[Record]:
    """Answers that came while all had their load; each client has had one at least."""
    clients = [pair.client(name, *load) for pair in pairs]
    records = [Record(client.process.log) for client in clients]
    await anyio.sleep(seconds)
    with anyio.fail_after(_PATIENCE_S):
        while not all(_answers(record) for record in records):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(_POLL_S)
    for client in clients:
        client.process.signal(signal.SIGTERM)
    for client in clients:
        await ended(client)
    return records


def _answers(record: Record) -> int:
    record.read()
    return record.answers
