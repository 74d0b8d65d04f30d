"""Whether the guest runs."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from colo.hypervisor.errors import QmpRefusedError

if TYPE_CHECKING:
    from colo.hypervisor.qmp import Qmp
    from colo.hypervisor.qmp_events import QemuEvent

_NOT_YET = "not finalized"
"""QEMU tells that a migration is completed a moment before it lets the guest go on (qmp_cont)."""


async def run_state(qmp: Qmp) -> str:
    """`running`, `paused`, `prelaunch`, `restore-vm`, `shutdown` and so on (QAPI: RunState)."""
    status = await qmp.execute("query-status")
    return str(status["status"])


async def cont(qmp: Qmp) -> float:
    """Let the guest run; no save of its state may be under way. Gives the moment (`time.monotonic`) from
    which it did: QEMU's event comes before its answer, and our turn long after both.
    """
    with qmp.watch(_runs) as resumed:
        while True:
            try:
                await qmp.execute("cont")
            except QmpRefusedError as error:
                if _NOT_YET not in str(error):
                    raise
            else:
                return resumed.event.at if resumed.event is not None else monotonic()


def _runs(event: QemuEvent) -> bool:
    return event.name == "RESUME"
