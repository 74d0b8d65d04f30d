//! Frames for tests, whole and with right checksums.

use std::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::ethernet;
use crate::ip::protocol;

mod route;

pub use route::Route;

const MACS: [u8; 12] = [0x52, 0x54, 0, 0xc0, 0x10, 0x02, 0x52, 0x54, 0, 0xc0, 0x10, 0x01];

/// What differs from segment to segment. `options` must have a multiple of 4 bytes, 40 at most.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "as in `Tcp`")]
pub struct Segment<'a> {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub options: &'a [u8],
    pub payload: &'a [u8],
}

/// A TCP segment.
#[must_use]
pub fn tcp(route: Route, segment: &Segment<'_>) -> Vec<u8> {
    let mut bytes = ports(route);
    bytes.extend_from_slice(&segment.seq.to_be_bytes());
    bytes.extend_from_slice(&segment.ack.to_be_bytes());
    let header = 20 + segment.options.len();
    bytes.extend_from_slice(&[(header as u8 / 4) << 4, segment.flags]);
    bytes.extend_from_slice(&segment.window.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(segment.options);
    bytes.extend_from_slice(segment.payload);
    summed(route, protocol::TCP, bytes, 16)
}

/// A UDP datagram.
#[must_use]
pub fn udp(route: Route, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports(route);
    bytes.extend_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(payload);
    summed(route, protocol::UDP, bytes, 6)
}

/// An echo request or reply, ICMP or ICMPv6; the ports of the route do not count.
#[must_use]
pub fn icmp_echo(route: Route, reply: bool, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let kind = match (route.v4(), reply) {
        (Some(_), false) => 8,
        (Some(_), true) => 0,
        (None, _) => 128 + u8::from(reply),
    };
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(payload);
    icmp(route, bytes)
}

/// An IPv6 neighbour solicitation for the destination (RFC 4861).
#[must_use]
pub fn neighbour_solicitation(route: Route) -> Vec<u8> {
    let mut bytes = vec![135, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&route.v6().1.octets());
    icmp(route, bytes)
}

fn icmp(route: Route, bytes: Vec<u8>) -> Vec<u8> {
    match route.v4() {
        // The pseudo header is ICMPv6's alone.
        Some(_) => {
            let sum = Sum::default().over(&bytes).finish();
            ip(route, protocol::ICMP, &with_sum(bytes, 2, sum))
        }
        None => summed(route, protocol::ICMPV6, bytes, 2),
    }
}

/// An ARP request of the source for the destination; both must be IPv4, else the addresses are 0.
#[must_use]
pub fn arp(route: Route) -> Vec<u8> {
    let (source, destination) = route
        .v4()
        .unwrap_or((Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
    let mut frame = link(route, ethernet::ARP);
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(MACS.iter().skip(6));
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&destination.octets());
    frame
}

/// A packet of any IP protocol.
#[must_use]
pub fn ip(route: Route, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match route.v4() {
        Some(_) => ipv4(route, protocol, [0x40, 0], payload),
        None => ipv6(route, protocol, payload),
    }
}

/// One fragment: `offset` in units of 8 bytes.
#[must_use]
pub fn fragment(route: Route, protocol: u8, id: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    if route.v4().is_some() {
        let mut frame = ipv4(
            route,
            protocol,
            (offset | u16::from(more) << 13).to_be_bytes(),
            payload,
        );
        set_id(&mut frame, if route.vlan.is_some() { 18 } else { 14 }, id);
        return frame;
    }
    let mut bytes = vec![protocol, 0];
    bytes.extend_from_slice(&(offset << 3 | u16::from(more)).to_be_bytes());
    bytes.extend_from_slice(&u32::from(id).to_be_bytes());
    bytes.extend_from_slice(payload);
    ipv6(route, 44, &bytes)
}

/// Gives an IPv4 packet that begins at `at` another identification, as two copies of a guest do.
pub fn set_id(frame: &mut [u8], at: usize, id: u16) {
    let Some(header) = frame.get_mut(at..at + 20) else {
        return;
    };
    if let Some(place) = header.get_mut(4..6) {
        place.copy_from_slice(&id.to_be_bytes());
    }
    if let Some(place) = header.get_mut(10..12) {
        place.fill(0);
    }
    let sum = Sum::default().over(header).finish();
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

fn ports(route: Route) -> Vec<u8> {
    [
        route.source.port().to_be_bytes(),
        route.destination.port().to_be_bytes(),
    ]
    .concat()
}

/// The packet, with the checksum over pseudo header and bytes at `at`.
fn summed(route: Route, protocol: u8, bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let addresses = match route.v4() {
        Some((source, destination)) => [source.octets(), destination.octets()].concat(),
        None => [route.v6().0.octets(), route.v6().1.octets()].concat(),
    };
    let sum = Sum::default().over(&addresses).over(&[0, protocol]);
    let sum = sum
        .over(&(bytes.len() as u32).to_be_bytes())
        .over(&bytes)
        .finish();
    ip(route, protocol, &with_sum(bytes, at, sum))
}

fn with_sum(mut bytes: Vec<u8>, at: usize, sum: u16) -> Vec<u8> {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn ipv4(route: Route, protocol: u8, fragment: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&(payload.len() as u16 + 20).to_be_bytes());
    header.extend_from_slice(&[0, 0, fragment[0], fragment[1], 64, protocol, 0, 0]);
    let (source, destination) = route
        .v4()
        .unwrap_or((Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&destination.octets());
    let sum = Sum::default().over(&header).finish();
    let mut frame = link(route, ethernet::IPV4);
    frame.extend_from_slice(&with_sum(header, 10, sum));
    frame.extend_from_slice(payload);
    frame
}

fn ipv6(route: Route, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = link(route, ethernet::IPV6);
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[next, 64]);
    let (source, destination) = route.v6();
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
    frame.extend_from_slice(payload);
    frame
}

fn link(route: Route, kind: u16) -> Vec<u8> {
    let mut frame = MACS.to_vec();
    if let Some(id) = route.vlan {
        frame.extend_from_slice(&[0x81, 0x00]);
        frame.extend_from_slice(&id.to_be_bytes());
    }
    frame.extend_from_slice(&kind.to_be_bytes());
    frame
}
