"""Whether the guest runs."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from colo.hypervisor.errors import QmpRefusedError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from colo.hypervisor.qmp import Qmp
    from colo.hypervisor.qmp_events import QemuEvent, Watch

_NOT_YET = "not finalized"
"""QEMU tells that a migration is completed a moment before it lets the guest go on (qmp_cont)."""


async def run_state(qmp: Qmp) -> str:
    """`running`, `paused`, `prelaunch`, `restore-vm`, `shutdown` and so on (QAPI: RunState)."""
    status = await qmp.execute("query-status")
    return str(status["status"])


def cont(qmp: Qmp) -> Coroutine[Any, Any, float]:
    """Let the guest run; no save of its state may be under way. QEMU has been told so when this returns; what
    it gives is to be awaited for the moment (`time.monotonic`) from which it did: QEMU's event comes before
    its answer, and our turn long after both.
    """
    return _accepted(qmp, qmp.watch(_runs), qmp.begin("cont"))


async def _accepted(qmp: Qmp, runs: Watch, answer: Coroutine[Any, Any, Any]) -> float:
    deadline = monotonic() + qmp.timeout_s
    with runs:
        while True:
            try:
                await answer
            except QmpRefusedError as error:
                if _NOT_YET not in str(error) or monotonic() > deadline:
                    raise
                answer = qmp.begin("cont")
            else:
                return runs.event.at if runs.event is not None else monotonic()


def _runs(event: QemuEvent) -> bool:
    return event.name == "RESUME"
