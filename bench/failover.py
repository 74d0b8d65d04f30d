"""How long a client waits for its answer when the primary's host is killed."""

from __future__ import annotations

import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.checkpoints import spread
from colo.lab.trial import Moment, Side, Trial, carry_out

if TYPE_CHECKING:
    from colo.lab.pair import Guest


async def measure_failovers(guest: Guest, count: int) -> dict[str, Any]:
    """The longest wait of the counter client over each failover, in ms."""
    outages = []
    for _ in range(count):
        with TemporaryDirectory(prefix="colo-bench-") as folder:
            trial = Trial(signal.SIGKILL, Moment.LOAD, Side.PRIMARY)
            outcome = await carry_out(trial, Path(folder), guest)
        if outcome.problems:
            raise RuntimeError(f"a client noticed the failover: {outcome.problems}")
        outages.append(outcome.outage_ms)
    return {"outage_ms": spread(outages), "all_ms": [round(outage) for outage in outages]}
