"""Two real taps and what the kernel does between them; needs CAP_NET_ADMIN."""

from __future__ import annotations

import fcntl
import os
import select
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colo.errors import CapabilityError
from colo.network import Cable, open_cable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

_TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454D0, 0x400454D8
_HEADER = 12
_MACS = bytes.fromhex("525400c01002525400c01001")


@pytest.fixture
def tun() -> None:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and /dev/net/tun")


@pytest.fixture
async def cable(tun: None) -> AsyncIterator[Cable]:  # noqa: ARG001
    cable = await open_cable()
    # As QEMU does with a guest that has virtio 1.0 and offloads.
    fcntl.ioctl(cable.near, _TUNSETVNETHDRSZ, struct.pack("i", _HEADER))
    fcntl.ioctl(cable.near, _TUNSETOFFLOAD, 0x0F)
    try:
        yield cable
    finally:
        cable.close()


def _frame(ethertype: int, payload: bytes) -> bytes:
    return bytes(_HEADER) + _MACS + ethertype.to_bytes(2, "big") + payload


def _segment(size: int) -> bytes:
    """To be cut into segments of 1448 bytes, with a checksum to be completed (NEEDS_CSUM, GSO_TCPV4)."""
    header = struct.pack("<BBHHHHH", 1, 1, 54, 1448, 34, 16, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + size, 1, 0, 64, 6, 0, bytes(4), b"\x0a\0\0\x01")
    tcp = struct.pack("!HHIIBBHHH", 80, 4312, 1, 1, 0x50, 0x10, 500, 0x1234, 0)
    return header + _MACS + b"\x08\x00" + ip + tcp + bytes(size)


def _readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def _devices() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("colo")}


def _with_ipv6() -> list[str]:
    return Path("/proc/net/if_inet6").read_text().splitlines()


@pytest.mark.parametrize(
    "frame",
    [
        _frame(0x0806, bytes(46)),
        _frame(0x8100, b"\x00\x05\x08\x00" + bytes(60)),
        _frame(0x88A8, b"\x00\x05\x81\x00\x00\x06\x08\x00" + bytes(60)),
        _frame(0x0026, b"\x42\x42\x03" + bytes(43)),
        _frame(0x86DD, b"\x60" + bytes(59)),
        _segment(60_000),
    ],
    ids=["arp", "vlan", "two-vlans", "spanning-tree", "ipv6", "64k"],
)
async def test_what_is_written_at_one_end_is_at_the_other_when_the_write_returns(
    cable: Cable, frame: bytes
) -> None:
    for one, other in ((cable.near, cable.far), (cable.far, cable.near)):
        assert os.write(one, frame) == len(frame)
        assert os.read(other, 70_000) == frame
        assert not _readable(other)
        assert not _readable(one)


async def test_the_near_end_is_readable_until_its_reader_has_read_everything(cable: Cable) -> None:
    assert not _readable(cable.near)
    for _ in range(3):
        os.write(cable.far, _frame(0x0806, bytes(46)))
    for _ in range(3):
        assert _readable(cable.near)
        os.read(cable.near, 70_000)
    assert not _readable(cable.near)


async def test_as_many_frames_as_the_relay_sends_at_once_find_room(cable: Cable) -> None:
    for _ in range(512):
        os.write(cable.far, _segment(60_000))
    count = 0
    while _readable(cable.near):
        os.read(cable.near, 70_000)
        count += 1
    assert count == 512


async def test_the_host_says_nothing_into_it(cable: Cable) -> None:
    assert not _readable(cable.near)
    assert not _readable(cable.far)
    assert not any("colo" in line.split()[-1] for line in _with_ipv6())


async def test_a_host_that_would_deliver_frames_later_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = tmp_path / "mask"
    monkeypatch.setattr("colo.network.cable._RPS", mask)
    for text in ("3\n", "00000000,00000001\n"):
        mask.write_text(text)
        with pytest.raises(CapabilityError, match="steering"):
            await open_cable()


async def test_a_cable_that_is_closed_leaves_no_device(cable: Cable) -> None:
    before = _devices()
    other = await open_cable()
    assert len(_devices()) == len(before) + 2
    other.close()
    assert _devices() == before
    assert cable.near != other.near
