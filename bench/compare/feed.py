"""Feeds a comparison and reads what comes out, never further ahead than it keeps.

colo-compare drops, silently, what is beyond 1024 frames of one side of a connection: two bursts are at most
512 frames of the primary and 768 of the secondary.
"""

from __future__ import annotations

import threading
import time
from itertools import accumulate
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from bench.compare.frames import split

if TYPE_CHECKING:
    import socket

    from bench.compare.frames import Burst
    from bench.compare.subjects import Subject

_AHEAD = 2
"""Bursts that may be under way."""
_STALLED_S = 5.0


@frozen
class Outcome:
    """Frames that came out, of those that should; seconds and CPU seconds until the last."""

    frames: int
    expected: int
    seconds: float
    cpu_s: float

    @property
    def complete(self) -> bool:
        """All that the primary sent came out, unchanged."""
        return self.frames == self.expected


def feed(subject: Subject, bursts: list[Burst]) -> Outcome:
    """Sends all bursts of both sides and waits until the primary's have come out, or nothing more does."""
    primary, secondary, out = subject.links
    flow = _Flow([0, *accumulate(len(burst.primary) for burst in bursts)])
    writers = [
        threading.Thread(target=_write, args=(link, flow, wires), daemon=True)
        for link, wires in (
            (primary, [burst.primary for burst in bursts]),
            (secondary, [burst.secondary for burst in bursts]),
        )
    ]
    cpu, began = subject.cpu_ns(), time.perf_counter()
    for writer in writers:
        writer.start()
    wire = _read(out, flow)
    seconds, cpu = time.perf_counter() - began, subject.cpu_ns() - cpu
    flow.end()
    sent = sorted(frame for burst in bursts for frame in split(burst.primary))
    return Outcome(_right(sent, wire), len(sent), seconds, cpu / 1e9)


@define
class _Flow:
    """How far the output is, for those who must not run ahead of it."""

    ends: list[int]
    """Bytes of output before each burst, and in all."""
    _out: int = 0
    _over: bool = False
    _changed: threading.Condition = field(factory=threading.Condition)

    def advance(self, count: int) -> bool:
        """So many bytes came; true when they were the last."""
        with self._changed:
            self._out += count
            self._changed.notify_all()
            return self._out >= self.ends[-1]

    def may_send(self, burst: int) -> bool:
        """Waits until this burst may go; false when there is nobody who reads."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._out >= self.ends[max(0, burst - _AHEAD + 1)])
            return not self._over

    def end(self) -> None:
        """Nobody reads any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _write(link: socket.socket, flow: _Flow, wires: list[bytes]) -> None:
    try:
        for number, wire in enumerate(wires):
            if not flow.may_send(number):
                return
            link.sendall(wire)
    except OSError:
        flow.end()


def _read(link: socket.socket, flow: _Flow) -> list[bytes]:
    """All output, or what there is of it when nothing more comes."""
    link.settimeout(_STALLED_S)
    pieces = []
    try:
        while piece := link.recv(1 << 20):
            pieces.append(piece)
            if flow.advance(len(piece)):
                break
    except TimeoutError:
        pass
    return pieces


def _right(sent: list[bytes], wire: list[bytes]) -> int:
    """How many frames came out, each of them one that was sent."""
    whole = b"".join(wire)
    try:
        found = sorted(split(whole))
    except ValueError:
        return 0
    if found == sent:
        return len(found)
    known = set(sent)
    return sum(frame in known for frame in found)
