"""What checkpoints cost: phases of the last ones, the pause, counts by reason."""

from __future__ import annotations

from collections import Counter, deque
from statistics import median
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from colo.agent.phases import Phases, PhaseTotal

if TYPE_CHECKING:
    from colo.model.compression import Tally

KEPT = 4096
"""Checkpoints whose measures are kept."""


@define
class CheckpointMeasure(Phases):
    """One checkpoint on the primary: its phases since the trigger, and what was moved. `pause` is the time
    that the VM stood still.
    """

    reason: str = field(kw_only=True)
    waited_ms: int = 0
    """For so long an answer had waited when it was triggered."""
    stopped: float = 0.0
    runs: bool = False
    """The VM does again, after it."""
    pages: int = 0
    page_bytes: int = 0
    state_bytes: int = 0
    sent: Tally | None = None
    """How it went over the link, once all of it is out."""
    link_ns: int = 0
    """From its first byte to RECEIVED."""
    _sending_ns: int = 0

    def sending(self) -> None:
        """Notes that the link has it now."""
        self._sending_ns = monotonic_ns()

    def received(self) -> None:
        """The peer has all of it."""
        self.link_ns = monotonic_ns() - self._sending_ns
        self.phases_ms["send"] = round(self.link_ns / 1e6, 3)
        if self.sent is not None:
            self.phases_ms["encode"] = round(self.sent.encode_ns / 1e6, 3)

    def sent_counts(self) -> dict[str, int]:
        """Pages by the way they were sent, and bytes before and after."""
        if self.sent is None:
            return {}
        counts = {kind: getattr(self.sent, kind) for kind in ("zero", "equal", "delta", "lz4", "raw")}
        return counts | {
            "bytes_before": self.page_bytes + self.state_bytes,
            "bytes_sent": self.sent.sent_bytes,
        }

    def slowed(self, ms: float) -> None:
        """The VM was stopped for that long besides, to write less while this one is in flight."""
        self.phases_ms["slowed"] = round(self.phases_ms.get("slowed", 0.0) + ms, 3)

    def mark_stopped(self, name: str, moment: float | None = None) -> None:
        """Notes the time from when the VM stopped to that moment, or to now."""
        self.phases_ms[name] = round(((moment or monotonic()) - self.stopped) * 1000, 3)


@frozen
class Summary:
    """All that happened in this pairing and before."""

    total: int
    by_reason: dict[str, int]
    median_pause_ms: float | None
    last: CheckpointMeasure | None
    last_phases_ms: dict[str, float]
    """Of the last one, here or taken over from the primary."""


class Measures:
    """Kept over pairings."""

    def __init__(self) -> None:
        self.verified: Counter[str] = Counter()
        """How often memory here was found to be what the primary's was."""
        self.received = 0
        """Checkpoints of a primary that were put in place here."""
        self.phases: dict[str, PhaseTotal] = {}
        """Over all checkpoints; the secondary's phases have other names than the primary's."""
        self._last_phases_ms: dict[str, float] = {}
        self._by_reason: Counter[str] = Counter()
        self._done: deque[CheckpointMeasure] = deque(maxlen=KEPT)

    def begin(self, checkpoint: int, reason: str, waited_ms: int = 0) -> CheckpointMeasure:
        """A checkpoint was triggered, after an answer had waited that long."""
        return CheckpointMeasure(checkpoint, reason=reason, waited_ms=waited_ms)

    def done(self, measure: CheckpointMeasure) -> None:
        """It is committed and loaded."""
        self._by_reason[measure.reason] += 1
        self._done.append(measure)
        self._count(measure)

    def placed(self, measure: Phases) -> None:
        """One of a primary's is loaded here, or stored for a copy that rests."""
        self.received += 1
        self._count(measure)

    def _count(self, measure: Phases) -> None:
        self._last_phases_ms = measure.phases_ms
        for name, ms in measure.phases_ms.items():
            self.phases.setdefault(name, PhaseTotal()).add(ms)

    @property
    def total(self) -> int:
        """How many were done; see `after`."""
        return sum(self._by_reason.values())

    def after(self, total: int) -> tuple[CheckpointMeasure, ...]:
        """Those done since `total` was this, oldest first, as far as they are kept."""
        new = self.total - total
        return tuple(self._done)[-new:] if new else ()

    def summary(self) -> Summary:
        """For `colo status`."""
        pauses = [done.phases_ms["pause"] for done in self._done]
        return Summary(
            self.total,
            dict(self._by_reason),
            round(median(pauses), 3) if pauses else None,
            self._done[-1] if self._done else None,
            self._last_phases_ms,
        )
