"""The primary's pause for each checkpoint, by phase, under three loads."""

from __future__ import annotations

from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio

from colo.lab.pair import HOSTS, Guest, Options, Pair

if TYPE_CHECKING:
    from colo.api.service import AgentEvent

LOADS: dict[str, tuple[str, ...] | None] = {
    "idle": None,
    "GETs": ("gets",),
    "download": ("download", "--mib", "16"),
}
PERIOD_MS = 500
"""More often than by default: there is more to count."""
_PHASES = ("pause", "drain", "prepare", "save", "collect", "resume", "commit", "loaded")


async def measure_checkpoints(guest: Guest, memory_mib: int, seconds: float) -> list[dict[str, Any]]:
    """One row for each load: checkpoints, pause and phases in ms (median, p99), pages and bytes."""
    options = Options(vm={"memory_mib": memory_mib}, checkpoint={"period_ms": PERIOD_MS})
    with TemporaryDirectory(prefix="colo-bench-") as folder:
        async with Pair(Path(folder), guest, options) as pair:
            await pair.protected()
            return [
                {"memory_mib": memory_mib, "load": load, **await _under(pair, load, client, seconds)}
                for load, client in LOADS.items()
            ]


async def _under(pair: Pair, load: str, client: tuple[str, ...] | None, seconds: float) -> dict[str, Any]:
    process = pair.client(f"load-{load}", *client) if client else None
    checkpoints = await collect(pair, HOSTS[0], seconds)
    if process is not None:
        process.end()
    return _summary(checkpoints)


async def collect(pair: Pair, host: str, seconds: float) -> list[dict[str, Any]]:
    """What the agent's events say of each checkpoint during that time."""
    found: list[dict[str, Any]] = []
    async with pair.agent(host) as agent:
        with anyio.move_on_after(seconds):
            async for event in agent.events():
                _note(event, found)
    return found


def _note(event: AgentEvent, found: list[dict[str, Any]]) -> None:
    if event.kind == "checkpoint":
        found.append(dict(event.details))


def _summary(checkpoints: list[dict[str, Any]]) -> dict[str, Any]:
    if not checkpoints:
        raise RuntimeError("no checkpoint happened: is the period 0?")
    reasons = [checkpoint["reason"] for checkpoint in checkpoints]
    return {
        "checkpoints": len(checkpoints),
        "by_reason": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        **{phase: spread([checkpoint[f"{phase}_ms"] for checkpoint in checkpoints]) for phase in _PHASES},
        "pages": spread([checkpoint["pages"] for checkpoint in checkpoints]),
        "bytes_before": spread([checkpoint["bytes_before"] for checkpoint in checkpoints]),
        "bytes_sent": spread([checkpoint["bytes_sent"] for checkpoint in checkpoints]),
        "state_bytes": median(checkpoint["state_bytes"] for checkpoint in checkpoints),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, p99 and the number of values."""
    p99 = quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
    return {"median": round(median(values), 3), "p99": round(p99, 3), "n": len(values)}
