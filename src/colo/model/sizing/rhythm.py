"""How often there is a checkpoint, and how many pages it has: each follows from the other.

A checkpoint that takes longer leaves more to the next one. So the pages are found from below, step by step:
each step has as many or more, and none has more than a checkpoint may hold, where the VM is slowed down.
"""

from __future__ import annotations

from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from colo.model.sizing.inputs import IDLE_PAGES, MIB, PAGE

if TYPE_CHECKING:
    from colo.model.sizing.costs import Costs

Trigger = Literal["period", "written", "output", "memory", "need"]

_STEPS = 200
_ASKED = 1 / 2
_HALTED = 7 / 8
"""Of what fits: a checkpoint is asked for; the VM stands still for the one in flight (decision 0025)."""


@frozen
class Rhythm:
    """`interval_ms`: from one cut to the next, infinite where only a need brings one. `writes`: pages per
    second that the VM gets to write. `slowed`: it would write more.
    """

    pages: float
    interval_ms: float
    trigger: Trigger
    writes: float
    slowed: bool

    @property
    def per_s(self) -> float:
        """Checkpoints."""
        return 1000 / self.interval_ms


def rhythm(costs: Costs) -> Rhythm:
    """In the steady state."""
    pages, most = float(IDLE_PAGES), costs.most_pages() * _HALTED
    for _ in range(_STEPS):
        pages = min(IDLE_PAGES + _written(costs, _interval_ms(costs, pages)[0]), most)
    interval, trigger = _interval_ms(costs, pages)
    slowed = pages == most and IDLE_PAGES + _written(costs, interval) > most
    writes = (most - IDLE_PAGES) / interval * 1000 if slowed else costs.guest.writes
    return Rhythm(pages, interval, trigger, min(writes, costs.guest.writes), slowed)


def _interval_ms(costs: Costs, pages: float) -> tuple[float, Trigger]:
    through, before, setting = costs.through_ms(pages), costs.before_ms(pages), costs.setting
    wait = _epoch_ms(costs, pages) if setting.epochs else setting.period_ms or inf
    enough = setting.period_mib * MIB / PAGE or inf
    every: tuple[tuple[float, Trigger], ...] = (
        (wait + through, _usual(costs)),
        (max(_until_ms(costs, enough) + before, through), "written"),
        (max(_until_ms(costs, costs.most_pages() * _ASKED) + before, through), "memory"),
    )
    return min(every, key=itemgetter(0))


def _usual(costs: Costs) -> Trigger:
    if costs.setting.epochs:
        return "output"
    return "period" if costs.setting.period_ms else "need"


def _written(costs: Costs, ms: float) -> float:
    """Pages that differ from the last checkpoint's after so long."""
    guest = costs.guest
    return min(guest.writes * ms / 1000, guest.working_set) if guest.writes else 0.0


def _until_ms(costs: Costs, pages: float) -> float:
    """When so many are written."""
    guest = costs.guest
    return pages / guest.writes * 1000 if guest.writes and guest.working_set > pages else inf


def _epoch_ms(costs: Costs, pages: float) -> float:
    """Answers wait all the time: as often as the VM may stand still (`colo.model.policy.pace`)."""
    setting = costs.setting
    spread = costs.pause_ms(pages) * 100 / setting.paused_percent - costs.through_ms(pages)
    return min(max(spread, setting.epoch_min_ms), setting.epoch_max_ms)
