"""Acknowledgements and windows of one connection: the client is told only what both machines have said.

A window reaches to its right edge, acknowledgement + (window << scale). If the scale is not known, the
smaller field counts.
"""

from __future__ import annotations

import struct

import attrs
from frames import checksum
from reading import ACK, RST, SYN, Segment, link_header
from stream import P, S

DUPLICATES = 16
"""Duplicate acknowledgements that count at most."""
AHEAD = 3
"""Duplicates of P that those of S are behind at most."""


def before(one: int, other: int) -> bool:
    """Of sequence numbers, modulo 2^32."""
    return (one - other) % 2**32 >= 2**31


@attrs.frozen
class Offer:
    ack: int
    window: int

    def tells_more_than(self, known: Offer | None) -> bool:
        if known is None:
            return True
        return before(known.ack, self.ack) or (known.ack == self.ack and self.window > known.window)


@attrs.define(eq=False)
class Offers:
    scale: int | None = None
    said: dict[str, Offer | None] = attrs.Factory(lambda: {P: None, S: None})
    at_cut: Offer | None = None
    told: Offer | None = None
    repeated: int = 0
    """Duplicates of S that P's have not used up."""

    def negotiate(self, syn: Segment) -> None:
        """A guest that answers has seen the client's scale, one that asks has not."""
        scale = syn.scale
        self.scale = 0 if scale is None else scale if syn.has(ACK) else None

    def of(self, segment: Segment) -> Offer | None:
        """The window of a SYN is never scaled."""
        if not segment.has(ACK) or segment.has(RST):
            return None
        return Offer(segment.ack, segment.window >> (self.scale or 0 if segment.has(SYN) else 0))

    def say(self, who: str, offer: Offer | None, *, alone: bool = False) -> None:
        if offer is None:
            return
        if who == S:
            if self.said[S] != offer:
                self.repeated = 0
            elif alone:
                self.repeated = min(self.repeated + 1, DUPLICATES)
        self.said[who] = newer(self.said[who], offer)

    def tell(self, offer: Offer) -> None:
        self.told = newer(self.told, offer)

    def restart(self) -> None:
        self.said[S], self.repeated = self.at_cut, 0

    @property
    def limit(self) -> Offer | None:
        secondary, told = self.said[S], self.told
        if told is None or secondary is None:
            return secondary or told
        return told if told.tells_more_than(secondary) else secondary

    def covers(self, ack: int) -> bool:
        return self.limit is not None and not before(self.limit.ack, ack)

    def allowed(self, want: Offer) -> Offer | None:
        """What the client may be told of what P wants to tell."""
        limit = self.limit
        if limit is None:
            return None
        ack = limit.ack if before(limit.ack, want.ack) else want.ack
        if self.scale is None:
            return Offer(ack, min(want.window, limit.window))
        edges = [(offer.ack + (offer.window << self.scale)) % 2**32 for offer in (want, limit)]
        edge = edges[1] if before(edges[1], edges[0]) else edges[0]
        if ack == want.ack and edge == edges[0]:
            return want
        room = 0 if before(edge, ack) else (edge - ack) % 2**32 >> self.scale
        return Offer(ack, min(room, 0xFFFF))

    def may_go(self, want: Offer) -> bool:
        """A pure acknowledgement of P. One that only looks like a duplicate waits for one of S."""
        allowed = self.allowed(want)
        if allowed is None or not self.covers(want.ack):
            return False
        return allowed == want or allowed.tells_more_than(self.told) or self.repeated > 0

    def owes(self, want: Offer) -> bool:
        """The client may wait for this: an acknowledgement, or half of the window or more."""
        told = self.told
        if told is None or before(told.ack, want.ack):
            return True
        return want.tells_more_than(told) and want.window // 2 >= told.window

    def worth_telling(self, want: Offer) -> Offer | None:
        """In a frame of its own: an acknowledgement, all that P wants, or twice the window."""
        allowed = self.allowed(want)
        if allowed is None or not allowed.tells_more_than(self.told):
            return None
        told = self.told
        news = told is None or allowed == want or allowed.ack != told.ack
        return allowed if news or (told is not None and allowed.window // 2 >= told.window) else None


def newer(known: Offer | None, offer: Offer) -> Offer:
    return known if known is not None and before(offer.ack, known.ack) else offer


def changed(segment: Segment, offer: Offer) -> bytes:
    """The frame with another offer; what was wrong with its checksum stays wrong (RFC 1624)."""
    at, frame = segment.offset, bytearray(segment.frame)
    new = struct.pack("!I", offer.ack) + frame[at + 12 : at + 14] + struct.pack("!H", offer.window)
    old, frame[at + 8 : at + 16] = bytes(frame[at + 8 : at + 16]), new
    if old != new:
        inverted = bytes(byte ^ 0xFF for byte in frame[at + 16 : at + 18] + old)
        struct.pack_into("!H", frame, at + 16, checksum(inverted + new))
    return bytes(frame)


def pure_ack(segment: Segment, seq: int, offer: Offer) -> bytes | None:
    """An acknowledgement in the frame of another segment; `None`: there are extension headers."""
    link, network = link_header(segment.frame), segment.frame[: segment.offset]
    header = bytearray(network[link:])
    stamps = next((data for kind, data in segment.entries if kind == 8 and len(data) == 8), None)
    options = b"" if stamps is None else b"\1\1\x08\x0a" + stamps
    old = segment.frame[segment.offset :]
    words, flags = (20 + len(options)) // 4 << 4 | old[12] & 15, old[13] & 0xC0 | ACK
    numbers = struct.pack("!IIBBHHH", seq % 2**32, offer.ack, words, flags, offer.window, 0, 0)
    made = bytearray(old[:4] + numbers + options)
    if header[0] >> 4 == 4:
        addresses = header[12:20]
        header[1] &= 0xFC
        struct.pack_into("!HHH", header, 2, len(header) + len(made), 0, 0x4000)
        struct.pack_into("!H", header, 10, 0)
        struct.pack_into("!H", header, 10, checksum(bytes(header)))
    elif len(header) == 40:
        addresses = header[8:40]
        header[1] &= 0xCF
        struct.pack_into("!H", header, 4, len(made))
    else:
        return None
    summed = checksum(bytes(addresses) + struct.pack("!HH", 6, len(made)) + bytes(made))
    struct.pack_into("!H", made, 16, summed)
    return network[:link] + bytes(header + made)
