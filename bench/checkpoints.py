"""The checkpoints of a pair, as its agent tells of them; spreads of numbers."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from colo.api.service import AgentEvent
    from colo.lab.pair import Pair


async def collect(pair: Pair, host: str, seconds: float, kind: str = "checkpoint") -> list[dict[str, Any]]:
    """What the agent's events of that kind say during that time, with `at_ns`. Those of each checkpoint are
    `checkpoint` on the primary, and `placed` on the secondary.
    """
    found: list[dict[str, Any]] = []
    async with pair.agent(host) as agent:
        with anyio.move_on_after(seconds):
            async for event in agent.events():
                _note(event, kind, found)
    return found


def _note(event: AgentEvent, kind: str, found: list[dict[str, Any]]) -> None:
    if event.kind == kind:
        found.append({"at_ns": event.at_ns, **event.details})


def spread(values: list[float]) -> dict[str, float]:
    """Median, p99 and the number of values."""
    p99 = quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
    return {"median": round(median(values), 3), "p99": round(p99, 3), "n": len(values)}
