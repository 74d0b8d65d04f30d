"""An attempt of bench.xcolo that goes wrong, without a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio
import pytest
from bench.xcolo.attempt import idle
from bench.xcolo.figures import Attempt

from colo.errors import ColoError

if TYPE_CHECKING:
    from bench.xcolo.system import System


class _Crashing:
    def __init__(self) -> None:
        self.pauses_ms: list[float] = []

    async def watch(self, _seconds: float) -> None:
        self.pauses_ms += [5.0, 6.0]
        raise ColoError("the guest crashed", "")


def test_pauses_before_a_crash_are_kept() -> None:
    found = Attempt()
    with pytest.raises(ColoError, match="crashed"):
        anyio.run(idle, cast("System", _Crashing()), 1.0, found)
    assert found.idle_ms == [5.0, 6.0]
