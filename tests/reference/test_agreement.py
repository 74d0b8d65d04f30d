"""The crate and the reference model agree on every verdict, whatever two machines do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparison import Limits, Reference
from hypothesis import HealthCheck, given, settings
from playing import core, play
from schedules import schedules

if TYPE_CHECKING:
    from notation import Step


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(schedules())
def test_crate_and_reference_agree_on_every_verdict(steps: list[Step]) -> None:
    limits = Limits(held_bytes=1500)
    one, other = core(limits), Reference(limits)
    for step in steps:
        assert play(step, one) == play(step, other)
        assert (one.held_frames(), one.full()) == (other.held_frames(), other.full())
