"""What the announcing frames say, read by an independent implementation (scapy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from colo.network import announcements

if TYPE_CHECKING:
    import ipaddress

MAC = "52:54:00:c0:10:01"


def test_a_guest_without_known_address_is_announced_by_rarp() -> None:
    (frame,) = announcements(MAC, [])
    ether = Ether(frame)
    assert (ether.dst, ether.src, ether.type) == ("ff:ff:ff:ff:ff:ff", MAC, 0x8035)
    rarp = ARP(frame[14:])
    assert (rarp.op, rarp.hwsrc, rarp.hwdst) == (3, MAC, MAC)


def test_ipv4_gets_both_forms_of_gratuitous_arp() -> None:
    _, request, reply = (Ether(f) for f in announcements(MAC, [(MAC, "10.77.0.2")]))
    for ether in (request, reply):
        assert (ether.dst, ether.src) == ("ff:ff:ff:ff:ff:ff", MAC)
        assert (ether[ARP].psrc, ether[ARP].pdst, ether[ARP].hwsrc) == ("10.77.0.2", "10.77.0.2", MAC)
    assert (request[ARP].op, reply[ARP].op) == (1, 2)
    assert request[ARP].hwdst == "00:00:00:00:00:00"


@pytest.mark.parametrize("address", ["fd00::2", "fe80::5054:ff:fec0:1001", "2001:db8::ffff:ffff:ffff"])
def test_ipv6_gets_an_unsolicited_overriding_advertisement(address: str) -> None:
    ether = Ether(announcements(MAC, [(MAC, address)])[1])
    ip, na = ether[IPv6], ether[ICMPv6ND_NA]
    assert (ether.dst, ip.src, ip.dst, ip.hlim) == ("33:33:00:00:00:01", address, "ff02::1", 255)
    assert (na.R, na.S, na.O, na.tgt) == (0, 0, 1, address)
    assert ether[ICMPv6NDOptDstLLAddr].lladdr == MAC


@given(st.ip_addresses(v=6))
def test_the_checksum_is_what_scapy_computes(address: ipaddress.IPv6Address) -> None:
    for frame in announcements(MAC, [(MAC, str(address))])[1:]:
        ours = Ether(frame)
        recomputed = Ether(frame)
        del recomputed[ICMPv6ND_NA].cksum
        assert ours[ICMPv6ND_NA].cksum == Ether(bytes(recomputed))[ICMPv6ND_NA].cksum


def test_each_address_is_announced_with_the_mac_it_was_seen_with() -> None:
    other = "52:54:00:c0:10:99"
    frames = announcements(MAC, [(other, "10.77.0.3")])
    assert [Ether(f).src for f in frames] == [MAC, other, other]


NOBODYS = ["0.0.0.0", "224.0.0.1", "127.0.0.1", "::", "ff02::1", "::1", "nonsense", ""]  # noqa: S104


@pytest.mark.parametrize("address", NOBODYS)
def test_what_is_no_address_of_a_host_is_left_out(address: str) -> None:
    assert len(announcements(MAC, [(MAC, address)])) == 1


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=5))
def test_whatever_a_guest_made_us_learn_nothing_breaks(pairs: list[tuple[str, str]]) -> None:
    for frame in announcements(MAC, pairs):
        assert 60 <= len(frame) <= 100


def test_no_frame_is_shorter_than_ethernet_allows() -> None:
    pairs = [(MAC, "10.77.0.2"), (MAC, "fd00::2")]
    assert min(len(f) for f in announcements(MAC, pairs)) >= 60


def test_a_wrong_nic_mac_is_the_callers_bug() -> None:
    with pytest.raises(ValueError, match="no MAC"):
        announcements("52:54:00", [])
