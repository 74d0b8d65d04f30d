"""A flood of connection requests from addresses that never say anything else."""

from __future__ import annotations

import random
import socket
import struct
import time
from ipaddress import IPv4Address

import click

from colo.guest.protocol import HTTP_PORT
from colo.lab.clients.report import say

_ETH_ALL, _ETH_IPV4, _ETH_ARP = 3, 0x0800, 0x0806
_SOL_PACKET, _IGNORE_OUTGOING = 263, 23  # linux/if_packet.h
_REQUEST, _REPLY = 1, 2
_SYN, _ACK = 0x02, 0x10
_OWN_MAC = bytes.fromhex("5254ff000001")
_FIRST_HOST, _HOSTS = 10, 200
_BATCH = 50
_LOOK_S = 0.001


@click.command()
@click.argument("host")
@click.option("--mac", required=True, help="Of the guest.")
@click.option("--interface", default="lan0")
@click.option("--count", default=30_000, help="SYNs, each from another address and port.")
@click.option("--rate", default=10_000, help="SYNs per second.")
@click.option("--seed", default=1)
def flood(host: str, mac: str, interface: str, count: int, rate: int, seed: int) -> None:
    """SYNs from 200 addresses of the guest's network. ARP is answered for them, SYN-ACKs are not."""
    target = IPv4Address(host)
    guest = bytes.fromhex(mac.replace(":", ""))
    draw = random.Random(seed)  # noqa: S311 - no secret
    answered = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_ALL)) as wire:
        wire.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        wire.bind((interface, _ETH_ALL))
        began = time.monotonic()
        for number in range(count):
            if number % _BATCH == 0:
                answered += _listen(wire, target, began + number / rate)
            wire.send(_syn(guest, target, number, draw.getrandbits(32)))
        answered += _listen(wire, target, time.monotonic() + 1)
    say(kind="flood", sent=count, answered=answered)
    say(verdict="whole")


def _listen(wire: socket.socket, target: IPv4Address, until: float) -> int:
    """Answers ARP until then; how many SYN-ACKs came. No frame that a tap gives is shorter than 60 bytes."""
    answered = 0
    while True:
        wire.settimeout(max(until - time.monotonic(), _LOOK_S))
        try:
            frame = wire.recv(2048)
        except TimeoutError:
            return answered
        kind = int.from_bytes(frame[12:14], "big")
        if kind == _ETH_ARP and frame[21] == _REQUEST and _is_ours(frame[38:42], target):
            wire.send(_arp_reply(frame))
        elif kind == _ETH_IPV4 and frame[26:30] == target.packed and frame[47] == _SYN | _ACK:
            answered += 1
        if time.monotonic() >= until:
            return answered


def _is_ours(address: bytes, target: IPv4Address) -> bool:
    return address[:3] == target.packed[:3] and _FIRST_HOST <= address[3] < _FIRST_HOST + _HOSTS


def _arp_reply(request: bytes) -> bytes:
    """RFC 826."""
    asker, asked = request[22:32], request[38:42]
    return (
        asker[:6]
        + _OWN_MAC
        + struct.pack("!HHHBBH", _ETH_ARP, 1, _ETH_IPV4, 6, 4, _REPLY)
        + _OWN_MAC
        + asked
        + asker
    )


def _syn(guest: bytes, target: IPv4Address, number: int, sequence: int) -> bytes:
    """The SYN of source `number`; RFC 9293, with the options of a plain client: MSS, SACK, window scale."""
    port, host = 1024 + number // _HOSTS, _FIRST_HOST + number % _HOSTS
    source = target.packed[:3] + bytes([host])
    options = struct.pack("!BBHBBBBBB", 2, 4, 1460, 1, 3, 3, 7, 4, 2) + b"\0\0"
    tcp = struct.pack("!HHIIBBHHH", port, HTTP_PORT, sequence, 0, (20 + len(options)) << 2, _SYN, 64240, 0, 0)
    tcp += options
    pseudo = source + target.packed + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + _checksum(pseudo + tcp) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
    ip += source + target.packed
    ip = ip[:10] + _checksum(ip) + ip[12:]
    return guest + _OWN_MAC + _ETH_IPV4.to_bytes(2, "big") + ip + tcp


def _checksum(data: bytes) -> bytes:
    """RFC 1071; `data` has an even length."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
