"""A bad cable: it loses, delays and reorders frames, the same ones for the same seed.

What netem does (tc-netem(8)), by a process of our own between two taps: many kernels have no netem, and no
kernel repeats what it did. With netem itself: `colo.lab.netem`.
"""

from __future__ import annotations

import heapq
import random
import sys

from attrs import asdict, define, field, frozen

QUEUE = 1000
"""Frames that may be on their way in one direction; one more is lost, as in netem."""
OFFLOAD_HEADER = 12
"""Bytes of virtio's header."""
_SEGMENT = slice(4, 6)  # gso_size in it
_HEADERS = 66  # Ethernet, IPv4, TCP with timestamps: repeated with each segment
_AROUND = 24  # preamble, frame check sequence, gap (IEEE 802.3)


@frozen
class Impairment:
    """For each direction. `loss` and `reorder` are shares of frames; a frame that is reordered overtakes all
    that are on their way. With a rate (0: none), a frame sets out when those before it have left, and arrives
    `delay_ms` after its last byte has set out.
    """

    loss: float = 0.0
    delay_ms: float = 0.0
    reorder: float = 0.0
    rate_mbit: float = 0.0
    offloads: bool = False
    """Frames are of up to 64 KiB, as between two cards that cut and join segments: virtio's header is before
    each. What they take on the wire is counted after the cut.
    """
    seed: int = 1

    def command(self, one: int, other: int) -> tuple[str, ...]:
        """The program that carries frames from one tap to the other until its standard input ends."""
        options = (f"--{key.replace('_', '-')}={value}" for key, value in asdict(self).items())
        return (sys.executable, "-m", "colo.lab.wire", str(one), str(other), *options)


@define(eq=False)
class Line:
    """One direction, without I/O or clock: times are seconds of the caller's."""

    impairment: Impairment
    number: int
    lost: int = 0
    passed: int = 0
    _draw: random.Random = field(init=False)
    _waiting: list[tuple[float, int, bytes]] = field(factory=list)
    _free_at: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._draw = random.Random(f"{self.impairment.seed} {self.number}")  # noqa: S311 - no secret

    def put(self, frame: bytes, now: float) -> None:
        """A frame goes in."""
        lost, reordered = self._draw.random(), self._draw.random()
        if lost < self.impairment.loss or len(self._waiting) >= QUEUE:
            self.lost += 1
            return
        self.passed += 1
        delay = 0.0 if reordered < self.impairment.reorder else self.impairment.delay_ms / 1000
        heapq.heappush(self._waiting, (self._leaves(frame, now) + delay, self.passed, frame))

    def take(self, now: float) -> list[bytes]:
        """The frames that come out by now."""
        out = []
        while self._waiting and self._waiting[0][0] <= now:
            out.append(heapq.heappop(self._waiting)[2])
        return out

    def next_time(self) -> float | None:
        """When the next one comes out."""
        return self._waiting[0][0] if self._waiting else None

    def _leaves(self, frame: bytes, now: float) -> float:
        """When its last byte sets out."""
        if not self.impairment.rate_mbit:
            return now
        size = wire_bytes(frame) if self.impairment.offloads else len(frame) + _AROUND
        self._free_at = max(self._free_at, now) + size * 8 / (self.impairment.rate_mbit * 1e6)
        return self._free_at


def wire_bytes(frame: bytes) -> int:
    """Bytes that a frame with virtio's header takes on the wire, cut into segments of the size that the
    header says (struct virtio_net_hdr, include/uapi/linux/virtio_net.h), with all that is around each.
    """
    size = len(frame) - OFFLOAD_HEADER
    segment = int.from_bytes(frame[_SEGMENT], "little")
    count = max(1, -(-(size - _HEADERS) // segment)) if segment else 1
    return size + (count - 1) * _HEADERS + count * _AROUND
