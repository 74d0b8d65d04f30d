"""Frames from a few words, as tests/vectors/README.md defines them."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
HOP_BY_HOP, FRAGMENT = 0, 44
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806


@attrs.frozen
class Spec:
    """A frame in words: what a line of a vector says."""

    kind: str
    ends: tuple[tuple[Address, int], tuple[Address, int]]
    keys: Mapping[str, str]
    flags: int
    data: bytes

    def number(self, key: str, default: int = 0) -> int:
        return number(self.keys[key]) if key in self.keys else default

    def hex(self, key: str) -> bytes:
        return bytes.fromhex(self.keys.get(key, ""))


def number(text: str) -> int:
    """A sum of numbers modulo 2^32."""
    return sum(int(term, 0) for term in text.split("+")) % 2**32


def pattern(start: int, count: int) -> bytes:
    """Bytes of the endless stream."""
    return bytes((i * 2654435761 >> 24) & 0xFF for i in range(start, start + count))


def build(spec: Spec) -> bytes:
    frame = spec.data if spec.kind == "hex" else _ethernet(spec)
    if "trim" in spec.keys:
        frame = frame[: spec.number("trim")]
    frame = frame.ljust(spec.number("pad"), b"\0")
    if "poke" in spec.keys:
        offset, patch = spec.keys["poke"].split(":")
        at, new = number(offset), bytes.fromhex(patch)
        frame = frame[:at] + new + frame[at + len(new) :]
    return frame


def _ethernet(spec: Spec) -> bytes:
    kind, payload = _network(spec)
    to = spec.keys.get("to", "52:54:00:c0:10:02")
    source = spec.keys.get("from", "52:54:00:c0:10:01")
    vlans = [number(tag) for tag in spec.keys.get("vlan", "").split(",") if tag]
    tags = b"".join(
        struct.pack("!HH", 0x88A8 if index < len(vlans) - 1 else 0x8100, tag)
        for index, tag in enumerate(vlans)
    )
    return _mac(to) + _mac(source) + tags + struct.pack("!H", kind) + payload


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _network(spec: Spec) -> tuple[int, bytes]:
    """EtherType and what follows it."""
    match spec.kind:
        case "eth":
            return spec.number("type", 0x88B5), spec.data
        case "arp":
            (source, _), (destination, _) = spec.ends
            fixed = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1)
            sender = _mac(spec.keys.get("from", "52:54:00:c0:10:01"))
            return ARP, fixed + sender + source.packed + bytes(6) + destination.packed
    protocol, payload = _transport(spec)
    return (IPV6, _ipv6(spec, protocol, payload)) if _is_v6(spec) else (IPV4, _ipv4(spec, protocol, payload))


def _is_v6(spec: Spec) -> bool:
    return spec.ends[0][0].version == 6


def _part(spec: Spec, payload: bytes) -> tuple[bytes, int, bool] | None:
    """The bytes of a fragment, its offset, and whether more follow."""
    if "part" not in spec.keys:
        return None
    start, count = (int(term) for term in spec.keys["part"].split("+"))
    return payload[start : start + count], start, start + count < len(payload)


def _ipv4(spec: Spec, protocol: int, payload: bytes) -> bytes:
    fragment, part = 0x4000, _part(spec, payload)
    if part:
        payload, offset, more = part
        fragment = offset // 8 | more << 13
    options = spec.hex("ipopt")
    length = 20 + len(options)
    header = struct.pack(
        "!BBHHHBBH",
        0x40 | length // 4,
        spec.number("tos"),
        length + len(payload),
        spec.number("ipid"),
        fragment,
        spec.number("ttl", 64),
        protocol,
        0,
    )
    header += spec.ends[0][0].packed + spec.ends[1][0].packed + options
    return _with_sum(header, 10, checksum(header)) + payload


def _ipv6(spec: Spec, protocol: int, payload: bytes) -> bytes:
    part = _part(spec, payload)
    if part:
        payload, offset, more = part
        payload = struct.pack("!BBHI", protocol, 0, offset | more, spec.number("ipid")) + payload
        protocol = FRAGMENT
    options = spec.hex("ipopt")
    if options:
        payload = struct.pack("!BB", protocol, (len(options) + 2) // 8 - 1) + options + payload
        protocol = HOP_BY_HOP
    first = 6 << 28 | spec.number("tos") << 20
    header = struct.pack("!IHBB", first, len(payload), protocol, spec.number("ttl", 64))
    return header + spec.ends[0][0].packed + spec.ends[1][0].packed + payload


def _transport(spec: Spec) -> tuple[int, bytes]:
    """Protocol and packet, its checksum in place."""
    (_, source), (_, destination) = spec.ends
    match spec.kind:
        case "tcp":
            options = spec.hex("opt")
            header = struct.pack(
                "!HHIIBBHHH",
                source,
                destination,
                spec.number("seq"),
                spec.number("ack"),
                (20 + len(options)) // 4 << 4,
                spec.flags,
                spec.number("win", 500),
                0,
                spec.number("urg"),
            )
            return TCP, _summed(spec, TCP, header + options + spec.data, 16)
        case "udp":
            header = struct.pack("!HHHH", source, destination, 8 + len(spec.data), 0)
            return UDP, _summed(spec, UDP, header + spec.data, 6)
        case "icmp":
            head = (spec.number("type"), spec.number("code"), 0, spec.number("id"), spec.number("n"))
            message = struct.pack("!BBHHH", *head) + spec.data
            if _is_v6(spec):
                return ICMPV6, _summed(spec, ICMPV6, message, 2)
            return ICMP, _with_sum(message, 2, checksum(message))
        case "ip":
            return spec.number("proto", 255), spec.data
    raise ValueError(f"no such kind of frame: {spec.kind}")


def _summed(spec: Spec, protocol: int, packet: bytes, at: int) -> bytes:
    """With the checksum over pseudo header (RFC 9293, RFC 8200 section 8.1) and packet."""
    pseudo = spec.ends[0][0].packed + spec.ends[1][0].packed
    sum_ = checksum(pseudo + struct.pack("!II", len(packet), protocol) + packet)
    return _with_sum(packet, at, 0xFFFF if protocol == UDP and sum_ == 0 else sum_)


def _with_sum(packet: bytes, at: int, sum_: int) -> bytes:
    return packet[:at] + struct.pack("!H", sum_) + packet[at + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 2^16 is 1 modulo 2^16 - 1, so a remainder does all the carrying."""
    if len(data) % 2:
        data += b"\0"
    total = int.from_bytes(data, "big")
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0))
