//! What IPv4 and IPv6 have in common once their headers are read.

/// A packet without its network headers and without link padding.
pub(crate) struct Packet<'a> {
    /// IPv6, or IPv4 mapped into IPv6.
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) protocol: u8,
    /// The fragment's offset and flags as they stand in the header; `None` for a whole datagram.
    pub(crate) fragment: Option<&'a [u8]>,
    /// Where `payload` begins, from the first byte of the network header.
    pub(crate) offset: usize,
    pub(crate) payload: &'a [u8],
}

pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IGMP: u8 = 2;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
}
