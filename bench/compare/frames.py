"""The frames of two machines that answer alike: right checksums, framed as `-netdev stream` does."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNIT = 4
"""Segments of the primary that a flow sends in a row."""
_UNIT_CUT_OTHERWISE = 6
"""As many bytes, cut by the secondary at other places."""
_BURST = 256 // _UNIT
"""Units in a burst."""
_HEADERS = 40
_ETHERNET = bytes.fromhex("525400c01002525400c010010800")
_GUEST = bytes((10, 0, 0, 2))
_TCP, _ACK_PSH = 6, 0x18


@frozen
class Load:
    """What is sent: bytes of payload, connections, whether both cut alike, frames of the primary in all."""

    payload: int
    flows: int
    same: bool
    frames: int


@frozen
class Burst:
    """As many bytes of stream from either machine, framed."""

    primary: bytes
    secondary: bytes


def bursts(load: Load) -> list[Burst]:
    """The whole load: flow after flow sends four segments, again and again."""
    stream = bytes(index * 167 % 251 for index in range(_UNIT * load.payload))
    mine = _cut(stream, _UNIT)
    other = mine if load.same else _cut(stream, _UNIT_CUT_OTHERWISE)
    units = [divmod(unit, load.flows) for unit in range(load.frames // _UNIT)]
    found = []
    for start in range(0, len(units), _BURST):
        some = units[start : start + _BURST]
        primary = b"".join(_frames(some, mine, len(stream)))
        secondary = primary if load.same else b"".join(_frames(some, other, len(stream)))
        found.append(Burst(primary, secondary))
    return found


def split(wire: bytes) -> Iterator[bytes]:
    """The frames of a stream; a cut one at the end is an error."""
    at = 0
    while at < len(wire):
        (size,) = struct.unpack_from("!I", wire, at)
        frame = wire[at + 4 : at + 4 + size]
        if len(frame) != size:
            raise ValueError(f"a frame of {size} bytes has {len(frame)}")
        yield frame
        at += 4 + size


@frozen
class _Piece:
    offset: int
    payload: bytes
    total: int
    """Sum of its 16-bit words."""


def _cut(stream: bytes, pieces: int) -> list[_Piece]:
    edges = [len(stream) * piece // pieces for piece in range(pieces + 1)]
    parts = [(start, stream[start:end]) for start, end in pairwise(edges)]
    return [_Piece(start, part, _words(part)) for start, part in parts]


def _frames(units: list[tuple[int, int]], pieces: list[_Piece], length: int) -> Iterator[bytes]:
    for turn, flow in units:
        client = bytes((10, 1, flow >> 14, 9))
        ports = struct.pack("!HH", 80, 1024 + (flow & 0x3FFF))
        for piece in pieces:
            yield _frame(client, ports, 1 + turn * length + piece.offset, piece)


def _frame(client: bytes, ports: bytes, seq: int, piece: _Piece) -> bytes:
    size = _HEADERS + len(piece.payload)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, _TCP, 0) + _GUEST + client
    tcp = ports + struct.pack("!IIBBHHH", seq, 1, 5 << 4, _ACK_PSH, 500, 0, 0)
    pseudo = _words(_GUEST + client) + _TCP + size - 20
    sums = (_folded(_words(ip)), _folded(_words(tcp) + pseudo + piece.total))
    ip = ip[:10] + struct.pack("!H", sums[0]) + ip[12:]
    tcp = tcp[:16] + struct.pack("!H", sums[1]) + tcp[18:]
    return b"".join((struct.pack("!I", 14 + size), _ETHERNET, ip, tcp, piece.payload))


def _words(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    return sum(struct.unpack(f"!{len(padded) // 2}H", padded))


def _folded(total: int) -> int:
    """The checksum of RFC 1071."""
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
