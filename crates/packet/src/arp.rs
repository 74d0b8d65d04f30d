//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use crate::field;

/// The sender's protocol address; `None` for another hardware or protocol, or cut short.
pub(crate) fn sender(bytes: &[u8]) -> Option<Ipv4Addr> {
    const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if field::bytes(bytes, 0)? != ETHERNET_IPV4 {
        return None;
    }
    field::u32(bytes, 14).map(Ipv4Addr::from)
}
