"""Real taps on real bridges; needs CAP_NET_ADMIN."""

from __future__ import annotations

import os
import select
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyroute2 import IPRoute

from colo.errors import CapabilityError
from colo.network import open_tap
from colo.network.announce import announcements
from colo.network.tap import open_device

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

MAC = "52:54:00:c0:10:01"
WHOLE = bytes(12)  # virtio's header of a frame with which nothing is to be done
TO_BE_CUT = struct.pack("<BBHHHHH", 1, 1, 54, 500, 34, 16, 0)
"""TCP over IPv4: checksums are missing, segments of 500 bytes."""


@pytest.fixture
def bridge() -> Iterator[str]:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("needs root and /dev/net/tun")
    name = f"cb{os.getpid()}"
    with IPRoute() as netlink:
        netlink.link("add", ifname=name, kind="bridge")
        index = netlink.link_lookup(ifname=name)[0]
        netlink.link("set", index=index, mtu=1400, state="up")
        try:
            yield name
        finally:
            netlink.link("del", index=index)


@pytest.fixture
def name() -> str:
    return f"ct{os.getpid()}"


def link(name: str) -> dict[str, object] | None:
    device = Path("/sys/class/net") / name
    if not device.exists():
        return None
    master = device / "master"
    return {
        "mtu": int((device / "mtu").read_text()),
        "master": master.readlink().name if master.is_symlink() else None,
        "up": bool(int((device / "flags").read_text(), 16) & 1),
    }


def has_ipv6(name: str) -> bool:
    return name in Path("/proc/net/if_inet6").read_text()


async def test_a_tap_is_up_on_its_bridge_with_its_mtu(bridge: str, name: str) -> None:
    tap = await open_tap(name, bridge)
    try:
        assert link(name) == {"mtu": 1400, "up": True, "master": bridge}
        assert (tap.mtu, os.get_blocking(tap.fd), os.get_inheritable(tap.fd)) == (1400, False, False)
    finally:
        tap.close()
    assert link(name) is None, "a closed tap leaves no device"


async def test_frames_written_to_the_tap_reach_the_bridge_as_they_are(bridge: str, name: str) -> None:
    tap = await open_tap(name, bridge)
    frame = announcements(MAC, [])[0]
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
            ear.bind((bridge, 0))
            ear.settimeout(5)
            assert os.write(tap.fd, WHOLE + frame) == 12 + len(frame)
            while ear.recv(2000) != frame:
                pass
    finally:
        tap.close()


async def test_frames_of_the_bridge_are_read_from_the_tap(bridge: str, name: str) -> None:
    tap = await open_tap(name, bridge)
    frame = announcements(MAC, [(MAC, "10.1.2.3")])[1]
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth:
            mouth.bind((bridge, 0))
            mouth.send(frame)
        while True:
            assert select.select([tap.fd], [], [], 5)[0], "the frame did not come"
            if os.read(tap.fd, 2000) == WHOLE + frame:
                break
    finally:
        tap.close()


async def test_a_frame_to_be_cut_reaches_one_without_offloads_cut_and_summed(bridge: str, name: str) -> None:
    """The bridge is told to send out of a second tap, whose reader gets what stands on a wire."""
    tap, other = await open_tap(name, bridge), await open_tap(f"{name}b", bridge)
    try:
        assert os.write(tap.fd, TO_BE_CUT + _segment(bytes(1200))) > 0
        payloads = []
        while len(payloads) < 3:
            assert select.select([other.fd], [], [], 5)[0], "not all of it came"
            read = os.read(other.fd, 2000)
            if read[24:26] == b"\x08\x00":
                assert read[:12] == WHOLE
                assert _sum(read[38:46] + struct.pack(">HH", 6, len(read) - 46) + read[46:]) == 0xFFFF
                payloads.append(len(read) - 66)
        assert payloads == [500, 500, 200]
    finally:
        tap.close()
        other.close()


def _segment(payload: bytes) -> bytes:
    """To everyone, the sum of the pseudo header in its checksum."""
    addresses = bytes([10, 0, 0, 2, 10, 0, 0, 9])
    network = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), 1, 0x4000, 64, 6, 0)
    network = network[:10] + struct.pack(">H", 0xFFFF - _sum(network + addresses)) + addresses
    pseudo = _sum(addresses + struct.pack(">HH", 6, 20 + len(payload)))
    transport = struct.pack(">HHIIBBHHH", 80, 4312, 1000, 7, 0x50, 0x10, 500, pseudo, 0)
    return (
        bytes([0xFF] * 6) + bytes.fromhex(MAC.replace(":", "")) + b"\x08\x00" + network + transport + payload
    )


def _sum(data: bytes) -> int:
    """In one's complement (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return total % 0xFFFF or (0xFFFF if total else 0)


async def test_the_host_does_not_speak_ipv6_into_the_tap(bridge: str, name: str) -> None:
    tap = await open_tap(name, bridge)
    try:
        assert not has_ipv6(name)
    finally:
        tap.close()


async def test_the_name_of_a_tap_in_use_is_refused(bridge: str, name: str) -> None:
    tap = await open_tap(name, bridge)
    try:
        with pytest.raises(CapabilityError, match="busy") as e:
            await open_tap(name, bridge)
        assert "agent running" in e.value.hint
    finally:
        tap.close()


async def test_a_missing_bridge_is_named_and_no_tap_stays(bridge: str, name: str) -> None:
    with pytest.raises(CapabilityError, match="no-such-br") as e:
        await open_tap(name, "no-such-br")
    assert "ip link add" in e.value.hint
    assert link(name) is None
    assert link(bridge) is not None


async def test_a_device_that_is_no_bridge_is_refused(bridge: str, name: str) -> None:
    assert bridge
    with pytest.raises(CapabilityError, match="no bridge"):
        await open_tap(name, "lo")
    assert link(name) is None


@pytest.mark.parametrize("bad", ["", "a-name-that-is-too-long"])
async def test_a_name_that_linux_cannot_have_is_refused(bad: str) -> None:
    with pytest.raises(CapabilityError):
        await open_tap(bad, "br0")


def test_a_missing_device_node_tells_what_to_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("colo.network.tap._TUN", tmp_path / "tun")
    with pytest.raises(CapabilityError) as e:
        open_device("colo0")
    assert "modprobe tun" in e.value.hint
