//! What IPv4 and IPv6 have in common once their headers are read.

use crate::checksum::Sum;

/// A packet without its network headers and without link padding.
pub(crate) struct Packet<'a> {
    /// IPv6, or IPv4 mapped into IPv6.
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) protocol: u8,
    /// `None` for a whole datagram.
    pub(crate) cut: Option<Cut>,
    /// Where `payload` begins, from the first byte of the network header.
    pub(crate) offset: usize,
    pub(crate) payload: &'a [u8],
}

impl Packet<'_> {
    /// The sum that a TCP checksum begins with, for `length` bytes (RFC 9293 section 3.1, RFC 8200 section 8.1).
    pub(crate) fn pseudo_header(&self, v6: bool, length: usize) -> Sum {
        // IPv4 addresses are mapped into IPv6 by the parser.
        let bits = if v6 { u128::MAX } else { u32::MAX.into() };
        Sum::default()
            .over(&(self.source & bits).to_be_bytes())
            .over(&(self.destination & bits).to_be_bytes())
            .over(&[0, self.protocol])
            .over(&(length as u32).to_be_bytes())
    }
}

/// Which part of which datagram a fragment is.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) id: u32,
    /// Of the first byte in the datagram: a multiple of 8.
    pub(crate) start: usize,
    pub(crate) more: bool,
}

pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IGMP: u8 = 2;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
}
