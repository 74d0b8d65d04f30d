//! Pieces of a datagram (RFC 791 section 3.2, RFC 8200 section 4.5), and the whole that they make.

use crate::ethernet::Ethernet;
use crate::flow::FlowKey;
use crate::{ipv4, ipv6};

/// A piece of a datagram that is longer than a frame.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// All fragments between two hosts, of IPv4 with the same protocol: within it `id` names the datagram.
    pub flow: FlowKey,
    /// The datagram's identification.
    pub id: u32,
    /// Where in the datagram its first byte belongs: a multiple of 8, below 2^16.
    pub start: usize,
    /// It is not the last piece.
    pub more: bool,
    /// Where its bytes begin in the frame.
    pub at: usize,
    /// Bytes of the datagram; padding of the link is none.
    pub len: usize,
}

/// The frame that a datagram would have been in one piece: the headers of its `first` fragment, then all of its
/// payload. `None`: `first` is no fragment, or an IP packet cannot be so long.
///
/// It is made to be read: the checksum of an IPv4 header is that of the fragment.
#[must_use]
pub fn put_together(first: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let ethernet = Ethernet::parse(first)?;
    let (link, network) = first.split_at_checked(ethernet.header)?;
    let mut made = Vec::with_capacity(first.len() + payload.len());
    made.extend(link);
    if ethernet.is_v6() {
        ipv6::put_together(&mut made, network, payload)?;
    } else {
        let packet = ethernet.packet(first)?;
        packet.cut?;
        ipv4::put_together(&mut made, network.get(..packet.offset)?, payload)?;
    }
    Some(made)
}
