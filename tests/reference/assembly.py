"""IP fragments between two hosts, put together to the datagrams that were cut.

Fragments that overlap make none: receivers do not agree about what they say (RFC 5722). The same one again
is no harm.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import attrs
from reading import Fragment, link_header
from stream import P, S

if TYPE_CHECKING:
    from comparison import Held, Outlet

PIECES = 128
"""Fragments of one datagram."""
DATAGRAMS = 64
"""Datagrams of one machine that are not whole."""
LONGEST = 0xFFFF
"""Bytes of an IP packet."""


@attrs.frozen
class Part:
    """A fragment that waits, and what it is held as (of P)."""

    fragment: Fragment
    held: Held | None = None

    @property
    def start(self) -> int:
        return self.fragment.cut.start

    @property
    def end(self) -> int:
        return self.start + len(self.fragment.payload)

    @property
    def is_sound(self) -> bool:
        """In the middle of a datagram in units of 8 bytes."""
        length = len(self.fragment.payload)
        return length > 0 and self.end <= LONGEST and not (self.fragment.cut.more and length % 8)

    def overlaps(self, other: Part) -> bool:
        return self.start < other.end and other.start < self.end

    def repeats(self, other: Part) -> bool:
        one, two = self.fragment, other.fragment
        return (one.cut, one.payload) == (two.cut, two.payload)


@attrs.define
class Datagram:
    since: int
    parts: list[Part] = attrs.Factory(list)
    spoiled: bool = False

    def add(self, part: Part) -> str:
        """What it is now: `open`, `whole`, `spoiled`, or `full` if it has been spoiled by too many parts."""
        state = self._with(part)
        if state in ("open", "whole"):
            self.parts.append(part)
        else:
            self.spoiled, self.parts = True, []
        return state

    def _with(self, part: Part) -> str:
        if self.spoiled or not part.is_sound:
            return "spoiled"
        if len(self.parts) >= PIECES:
            return "full"
        over = [other for other in self.parts if part.overlaps(other)]
        if over:
            return "open" if all(part.repeats(other) for other in over) else "spoiled"
        parts = {one.start: one for one in [*self.parts, part]}.values()
        lasts = [one.end for one in parts if not one.fragment.cut.more]
        if not lasts:
            return "open"
        if lasts != [max(one.end for one in parts)]:
            return "spoiled"
        return "whole" if sum(one.end - one.start for one in parts) == lasts[0] else "open"

    def whole(self) -> bytes | None:
        """Its frame, as if it had never been cut; `None`: no packet can be so long."""
        payload = bytearray(max(part.end for part in self.parts))
        for part in self.parts:
            payload[part.start : part.end] = part.fragment.payload
        first = next(part.fragment for part in self.parts if part.start == 0)
        return uncut(first, bytes(payload))


class Assembly:
    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.epochs = {P: outlet.current, S: outlet.current}
        self.datagrams: dict[str, dict[int, Datagram]] = {P: {}, S: {}}

    def primary(self, fragment: Fragment, held: Held, now: int) -> Held | None:
        """Returns the datagram when it is whole, which has come with this fragment."""
        self._turn(P, self.outlet.current)
        held.timed = True
        number, mine = fragment.cut.id, self._young(P, fragment, now)
        if number not in mine and len(mine) >= DATAGRAMS:
            self.outlet.queue_limit()
            return None
        datagram = mine.setdefault(number, Datagram(now))
        state = datagram.add(Part(fragment, held))
        if state == "full":
            self.outlet.queue_limit()
        frame = self._finish(P, number) if state == "whole" else None
        return None if frame is None else self.outlet.join(frame, datagram.parts, now)

    def secondary(self, fragment: Fragment, epoch: int, now: int) -> bytes | None:
        """Returns the frame of the datagram when it is whole."""
        if epoch < self.epochs[S]:
            return None
        self._turn(S, epoch)
        number, mine = fragment.cut.id, self._young(S, fragment, now)
        if number not in mine and len(mine) >= DATAGRAMS:
            del mine[next(iter(mine))]
        if mine.setdefault(number, Datagram(now)).add(Part(fragment)) == "whole":
            return self._finish(S, number)
        while self._kept() > self.outlet.limits.pending_bytes:
            del mine[next(iter(mine))]
        return None

    def _turn(self, who: str, epoch: int) -> None:
        if self.epochs[who] < epoch:
            self.epochs[who], self.datagrams[who] = epoch, {}

    def _young(self, who: str, fragment: Fragment, now: int) -> dict[int, Datagram]:
        """Identifications are used again: what is too old has nothing to do with this fragment."""
        mine = self.datagrams[who]
        known = mine.get(fragment.cut.id)
        if known and now - known.since > self.outlet.limits.hold_ns:
            del mine[fragment.cut.id]
        return mine

    def _finish(self, who: str, number: int) -> bytes | None:
        datagram = self.datagrams[who][number]
        frame = datagram.whole()
        if frame is None:
            datagram.spoiled, datagram.parts = True, []
        else:
            del self.datagrams[who][number]
        return frame

    def _kept(self) -> int:
        parts = (part for datagram in self.datagrams[S].values() for part in datagram.parts)
        return sum(len(part.fragment.frame) for part in parts)

    def committed(self, now: int) -> None:  # noqa: ARG002
        self._turn(P, self.outlet.current)
        if self.epochs[S] <= self.outlet.committed:
            self.datagrams[S] = {}

    def alone(self) -> None:
        pass

    def forget_released(self) -> None:
        pass

    def on_time(self, now: int) -> None:
        pass


def uncut(first: Fragment, payload: bytes) -> bytes | None:
    """The frame of the datagram that begins with this fragment. The checksum of IPv4 stays the fragment's."""
    frame, link = first.frame, link_header(first.frame)
    if frame[link] >> 4 == 4:
        header = bytearray(frame[link : first.offset])
        length, header[6:8] = len(header) + len(payload), b"\0\0"
        at = 2
    else:
        header = bytearray(frame[link : first.offset - 8])
        header[_names_fragment(header)] = frame[first.offset - 8]
        length, at = len(header) - 40 + len(payload), 4
    if length > LONGEST:
        return None
    struct.pack_into("!H", header, at, length)
    return frame[:link] + bytes(header) + payload


def _names_fragment(header: bytes) -> int:
    """Where IPv6 headers say that a fragment header follows them."""
    named, at = 6, 40
    while at < len(header):
        kind, named = header[named], at
        at += (header[at + 1] + 2) * 4 if kind == 51 else 8 if kind == 44 else (header[at + 1] + 1) * 8
    return named


def changed(part: Part, whole: bytes, total: int) -> bytes:
    """The fragment's frame with its bytes as they are in the datagram now, which ends the frame `whole`."""
    frame, at = part.fragment.frame, part.fragment.offset
    new = whole[len(whole) - total :][part.start : part.end]
    return frame[:at] + new + frame[at + len(new) :]
