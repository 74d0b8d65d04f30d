//! Who sent a frame: what a switch and its neighbours learn from it.

use std::net::{IpAddr, Ipv6Addr};

use crate::ethernet::{self, Ethernet};
use crate::{arp, ipv4, ipv6};

/// The addresses that a frame claims to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The Ethernet source address.
    pub mac: [u8; 6],
    /// The IP source address, or ARP's sender address; `None` where there is none.
    pub address: Option<IpAddr>,
}

/// The source of a frame. `None`: shorter than an Ethernet header.
#[must_use]
pub fn source(frame: &[u8]) -> Option<Source> {
    let ethernet = Ethernet::parse(frame)?;
    let payload = frame.get(ethernet.header..)?;
    let address = match ethernet.kind {
        ethernet::ARP => arp::sender(payload).map(IpAddr::V4),
        ethernet::IPV4 => ipv4::parse(payload).map(|packet| Ipv6Addr::from(packet.source).to_canonical()),
        ethernet::IPV6 => ipv6::parse(payload).map(|packet| IpAddr::V6(packet.source.into())),
        _ => None,
    };
    let address = address.filter(|address| !address.is_unspecified());
    Some(Source {
        mac: *ethernet.source,
        address,
    })
}
