"""How long each step took."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.define
class Spans:
    """Milliseconds by name of the step; a step that runs again before `take` adds to its time."""

    _ms: dict[str, float] = attrs.field(factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure the block, whether it succeeds or fails."""
        begin = monotonic()
        try:
            yield
        finally:
            self._ms[name] = self._ms.get(name, 0.0) + (monotonic() - begin) * 1000

    def take(self) -> dict[str, float]:
        """All measured since the last call."""
        taken, self._ms = self._ms, {}
        return taken
