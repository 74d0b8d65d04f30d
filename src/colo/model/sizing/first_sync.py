"""How long it takes from `colo protect` to the first checkpoint, by the machine that decides it live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colo.model.convergence import Again, Convergence, Round
from colo.model.sizing.inputs import MIB, PAGE, SENT_RAW

if TYPE_CHECKING:
    from colo.model.sizing.costs import Costs


def first_sync_s(costs: Costs) -> float:
    """Rounds of pre-copy, and the first checkpoint. Nothing can be left out yet but what was never used."""
    guest, setting, machine = costs.guest, costs.setting, costs.machine
    convergence = Convergence(setting.max_staging_mib * MIB // PAGE, setting.checkpoint_timeout_ms / 2000)
    work_us = machine.page_send_us + SENT_RAW * machine.byte_send_ns / 1e3
    page_s = max(work_us / 1e6, costs.link.ms(SENT_RAW) / 1e3)
    total, pages = 0.0, guest.pages * guest.used
    while True:
        took = pages * page_s
        wrote = guest.writes * took * (1 - convergence.stopped)
        pages, sent, total = min(wrote, guest.working_set), pages, total + took
        if not isinstance(convergence.after(Round(int(sent), took, int(pages))), Again):
            return total + costs.through_ms(pages) / 1000
