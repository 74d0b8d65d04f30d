"""From a frame to what is compared of it. What lies about its lengths is a message over the whole frame."""

from __future__ import annotations

import struct
from typing import Any

import attrs

FIN, SYN, RST, ACK, URG = 1, 2, 4, 16, 32
TAGS = (0x8100, 0x88A8)
EXTENSIONS = (0, 43, 60)
MAX_EXTENSIONS = 8

Key = tuple[Any, ...]


@attrs.frozen
class Segment:
    key: Key
    frame: bytes
    offset: int
    """Of the TCP header in the frame."""
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    options: bytes
    payload: bytes

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)

    @property
    def length(self) -> int:
        return len(self.payload) + self.has(SYN) + self.has(FIN)

    @property
    def negotiates(self) -> list[tuple[int, bytes]]:
        """Options of a SYN as a peer understands them: the value of timestamps says nothing."""
        return [(kind, b"" if kind == 8 else data) for kind, data in self.entries]

    @property
    def selective(self) -> bool:
        return any(kind == 5 and data and len(data) % 8 == 0 for kind, data in self.entries)

    @property
    def scale(self) -> int | None:
        return next((min(data[0], 14) for kind, data in self.entries if kind == 3 and len(data) == 1), None)

    @property
    def urgent_end(self) -> int | None:
        return (self.seq + self.urgent) % 2**32 if self.has(URG) else None

    @property
    def entries(self) -> list[tuple[int, bytes]]:
        found, rest = [], self.options
        while rest and rest[0] != 0:
            if rest[0] == 1:
                rest = rest[1:]
                continue
            length = rest[1] if len(rest) > 1 else 0
            if not 2 <= length <= len(rest):
                found.append((0, rest))
                break
            found.append((rest[0], rest[2:length]))
            rest = rest[length:]
        return found


@attrs.frozen
class Message:
    key: Key
    body: tuple[bytes, ...]
    size: int = 0
    """Of the frame."""


@attrs.frozen
class Chore:
    """Traffic of the link, never compared."""


@attrs.frozen
class Cut:
    """Which part of which datagram a fragment is."""

    id: int
    start: int
    more: bool


@attrs.frozen
class Fragment:
    key: Key
    frame: bytes
    cut: Cut
    offset: int
    """Of its bytes in the frame."""
    payload: bytes


Item = Segment | Message | Fragment | Chore


@attrs.frozen
class _Packet:
    version: int
    protocol: int
    ends: tuple[bytes, bytes]
    cut: Cut | None
    offset: int
    payload: bytes


class _Damaged(Exception):  # noqa: N818
    pass


def read(frame: bytes, nic: int = 0) -> Item:
    """A frame that the guest sends."""
    item = _read(frame, nic)
    return attrs.evolve(item, size=len(frame)) if isinstance(item, Message) else item


def _read(frame: bytes, nic: int) -> Item:
    try:
        kind, at, vlans = _ethernet(frame)
    except _Damaged:
        return Message((nic, "runt"), (frame,))
    whole = Message((nic, "ethernet", kind, vlans, frame[6:12], frame[:6]), (frame,))
    if kind == 0x0806:
        return Chore()
    if kind not in (0x0800, 0x86DD):
        return whole
    try:
        packet = _ipv4(frame[at:]) if kind == 0x0800 else _ipv6(frame[at:])
        return _packet(packet, (nic, vlans), frame, at)
    except _Damaged:
        return whole


def link_header(frame: bytes) -> int:
    """Bytes before the network header."""
    return _ethernet(frame)[1]


def _need(condition: bool) -> None:  # noqa: FBT001
    if not condition:
        raise _Damaged


def _ethernet(frame: bytes) -> tuple[int, int, tuple[int, int]]:
    """EtherType, where its payload begins, VLANs outer first."""
    _need(len(frame) >= 14)
    kind, at = int.from_bytes(frame[12:14], "big"), 14
    vlans = [0, 0]
    for _ in range(2):
        if kind not in TAGS:
            break
        _need(len(frame) >= at + 4)
        tag, kind = struct.unpack_from("!HH", frame, at)
        vlans[0 if vlans[0] == 0 else 1] = tag & 0xFFF
        at += 4
    return kind, at, (vlans[0], vlans[1])


def _ipv4(data: bytes) -> _Packet:
    _need(len(data) >= 20 and data[0] >> 4 == 4)
    header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    _need(20 <= header <= total <= len(data))
    number, place = struct.unpack_from("!HH", data, 4)
    cut = Cut(number, (place & 0x1FFF) * 8, bool(place & 0x2000)) if place & 0x3FFF else None
    return _Packet(4, data[9], (data[12:16], data[16:20]), cut, header, data[header:total])


def _ipv6(data: bytes) -> _Packet:
    _need(len(data) >= 40 and data[0] >> 4 == 6)
    end = 40 + int.from_bytes(data[4:6], "big")
    _need(len(data) >= end)
    data = data[:end]
    protocol, at, cut = data[6], 40, None
    for count in range(MAX_EXTENSIONS + 2):
        _need(count <= MAX_EXTENSIONS)
        if protocol in EXTENSIONS:
            _need(len(data) >= at + 2)
            following, at = data[at], at + (data[at + 1] + 1) * 8
        elif protocol == 51:
            _need(len(data) >= at + 2)
            following, at = data[at], at + (data[at + 1] + 2) * 4
        elif protocol == 44:
            _need(len(data) >= at + 8)
            place, number = struct.unpack_from("!HI", data, at + 2)
            # An atomic fragment is all of its datagram (RFC 6946).
            cut = Cut(number, place & 0xFFF8, bool(place & 1)) if place & 0xFFF9 else None
            following, at = data[at], at + 8
        else:
            break
        protocol = following
        if cut is not None:
            break
    _need(len(data) >= at)
    return _Packet(6, protocol, (data[8:24], data[24:40]), cut, at, data[at:])


def _packet(packet: _Packet, place: Key, frame: bytes, at: int) -> Item:
    key = (*place, packet.version, packet.protocol, *packet.ends)
    data = packet.payload
    if packet.cut is not None:
        # Of IPv6 only the first fragment knows the protocol.
        shared = (*place, packet.version, packet.protocol if packet.version == 4 else 44, *packet.ends)
        return Fragment((*shared, "fragments"), frame, packet.cut, at + packet.offset, data)
    item: Item = Message(key, (data,))
    match packet.version, packet.protocol:
        case _, 6:
            item = _segment(data, key, frame, at + packet.offset)
        case _, 17:
            item = _datagram(data, key, packet.version)
        case 4, 1:
            item = _control(data, key, echo=(8, 0), chores=())
        case 4, 2:
            item = Chore()
        case 6, 58:  # multicast listeners 130-132 and 143, neighbour discovery
            item = _control(data, key, echo=(128, 129), chores=(*range(130, 138), 143))
    return item


def _segment(data: bytes, key: Key, frame: bytes, offset: int) -> Segment:
    _need(len(data) >= 20)
    source, destination, seq, ack, words, flags, window, _, urgent = struct.unpack_from("!HHIIBBHHH", data)
    header = words >> 4 << 2
    _need(20 <= header <= len(data))
    options, payload = data[20:header], data[header:]
    key = (*key, source, destination)
    return Segment(key, frame, offset, seq, ack, flags, window, urgent, options, payload)


def _datagram(data: bytes, key: Key, version: int) -> Message | Chore:
    _need(len(data) >= 8)
    source, destination, length = struct.unpack_from("!HHH", data)
    _need(8 <= length <= len(data))
    if _asks_for_address(version, source, destination, data[8:length]):
        return Chore()
    return Message((*key, source, destination), (data[8:length],))


def _control(data: bytes, key: Key, echo: tuple[int, int], chores: tuple[int, ...]) -> Message | Chore:
    _need(len(data) >= 6)
    if data[0] in chores:
        return Chore()
    asked = data[4:6] if data[0] in echo else b"\0\0"
    return Message((*key, data[0], asked), (data[:2], data[4:]))


def _asks_for_address(version: int, source: int, destination: int, payload: bytes) -> bool:
    """A DHCP client asks for an address or renews it; to give one back is a message like any other."""
    if (version, source, destination) == (6, 546, 547):
        return payload[:1] in (b"\1", b"\3", b"\4", b"\5", b"\6", b"\x0b")
    if (version, source, destination) != (4, 68, 67) or payload[236:240] != bytes.fromhex("63825363"):
        return False
    options = payload[240:]
    while len(options) > 1 and options[0] != 255:
        if options[0] == 0:
            options = options[1:]
        elif options[0] == 53 and options[1] == 1:
            return options[2:3] in (b"\1", b"\3", b"\x08")
        elif len(options) < 2 + options[1]:
            return False
        else:
            options = options[2 + options[1] :]
    return False
