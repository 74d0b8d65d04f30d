"""The frames a survivor sends after promotion, so that switches and neighbours find the guest again.

Switches learn from any frame with the guest's MAC as its source: a RARP broadcast does for a guest whose
addresses are unknown (as QEMU's announce-self does). Neighbours keep their entries, since the guest's MAC
stays the same; the gratuitous forms serve those that lost or changed theirs.

Sources: RFC 903 (RARP), RFC 826 and RFC 5227 section 3 (ARP announcement), RFC 4861 section 7.2.6 (NA).
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BROADCAST = b"\xff" * 6
_ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
_ALL_NODES = IPv6Address("ff02::1").packed
_MIN_FRAME = 60  # Ethernet's minimum without the check sequence

_ETH_IPV4, _ETH_ARP, _ETH_RARP, _ETH_IPV6 = 0x0800, 0x0806, 0x8035, 0x86DD
_ARP_REQUEST, _ARP_REPLY, _RARP_REQUEST = 1, 2, 3
_ICMPV6, _NEIGHBOUR_ADVERTISEMENT, _OVERRIDE = 58, 136, 0x20000000


def announcements(mac: str, addresses: Iterable[tuple[str, str]]) -> tuple[bytes, ...]:
    """Ethernet frames that announce a NIC.

    `mac`: the NIC's MAC ("52:54:00:c0:10:01"). `addresses`: pairs (MAC, IPv4 or IPv6) that the guest was
    seen to use on this NIC; each is announced with its own MAC. What cannot belong to one host (multicast,
    unspecified, loopback) is left out, and so is what is no address at all: the guest chose these bytes.
    """
    frames = [_rarp(_mac(mac))]
    for owner, text in addresses:
        frames += _announce_address(owner, text)
    return tuple(frames)


def _announce_address(owner: str, text: str) -> Iterator[bytes]:
    try:
        mac, address = _mac(owner), ip_address(text)
    except ValueError:
        return
    if mac[0] & 1 or address.is_multicast or address.is_unspecified or address.is_loopback:
        return
    if isinstance(address, IPv4Address):
        # Some stacks heed only the one form, some only the other.
        yield _arp(_ARP_REQUEST, mac, address.packed, bytes(6))
        yield _arp(_ARP_REPLY, mac, address.packed, _BROADCAST)
    else:
        yield _neighbour_advertisement(mac, address.packed)


def _mac(text: str) -> bytes:
    mac = bytes.fromhex(text.replace(":", ""))
    if len(mac) != 6:  # noqa: PLR2004 - octets of a MAC
        raise ValueError(f"{text!r} is no MAC address")
    return mac


def _ethernet(destination: bytes, source: bytes, ethertype: int, payload: bytes) -> bytes:
    frame = destination + source + ethertype.to_bytes(2, "big") + payload
    return frame.ljust(_MIN_FRAME, b"\0")


def _arp_body(operation: int, sender: bytes, sender_ip: bytes, target: bytes, target_ip: bytes) -> bytes:
    header = struct.pack("!HHBBH", 1, _ETH_IPV4, 6, 4, operation)
    return header + sender + sender_ip + target + target_ip


def _rarp(mac: bytes) -> bytes:
    body = _arp_body(_RARP_REQUEST, mac, bytes(4), mac, bytes(4))
    return _ethernet(_BROADCAST, mac, _ETH_RARP, body)


def _arp(operation: int, mac: bytes, address: bytes, target: bytes) -> bytes:
    return _ethernet(_BROADCAST, mac, _ETH_ARP, _arp_body(operation, mac, address, target, address))


def _neighbour_advertisement(mac: bytes, address: bytes) -> bytes:
    target_link_layer = b"\x02\x01" + mac
    message = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE) + address + target_link_layer
    pseudo_header = address + _ALL_NODES + struct.pack("!II", len(message), _ICMPV6)
    message = message[:2] + _checksum(pseudo_header + message) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + address + _ALL_NODES
    return _ethernet(_ALL_NODES_MAC, mac, _ETH_IPV6, header + message)


def _checksum(data: bytes) -> bytes:
    """RFC 1071; `data` has an even length."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
