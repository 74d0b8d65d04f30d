"""The phases of checkpoints as spans: of one checkpoint, and counted over all."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator


@define
class Phases:
    """One checkpoint on one host: milliseconds by phase."""

    checkpoint: int
    began: float = field(factory=monotonic)
    phases_ms: dict[str, float] = field(factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures the block."""
        began = monotonic()
        try:
            yield
        finally:
            self.phases_ms[name] = round((monotonic() - began) * 1000, 3)

    def mark(self, name: str) -> None:
        """Notes the time since it began."""
        self.phases_ms[name] = round((monotonic() - self.began) * 1000, 3)


@define
class PhaseTotal:
    """A phase, counted over all checkpoints."""

    count: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0

    def add(self, ms: float) -> None:
        """It took so long once more."""
        self.count += 1
        self.sum_ms = round(self.sum_ms + ms, 3)
        self.max_ms = max(self.max_ms, ms)
