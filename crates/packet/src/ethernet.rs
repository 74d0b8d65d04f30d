//! Ethernet II with up to two VLAN tags (IEEE 802.3, 802.1Q, 802.1ad).

use crate::ip::Packet;
use crate::{field, ipv4, ipv6};

pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// Without tags.
const HEADER: usize = 14;
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const VLAN_ID: u16 = 0x0fff;

/// The header, and where the payload begins.
#[derive(Clone, Copy)]
pub(crate) struct Ethernet<'a> {
    pub(crate) destination: &'a [u8; 6],
    pub(crate) source: &'a [u8; 6],
    /// Outer first; 0 is no VLAN (a tag with identifier 0 carries a priority only).
    pub(crate) vlans: [u16; 2],
    pub(crate) kind: u16,
    pub(crate) header: usize,
}

impl<'a> Ethernet<'a> {
    #[inline]
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (destination, rest) = frame.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk()?;
        let mut ethernet = Self {
            destination,
            source,
            vlans: [0; 2],
            kind: field::u16(rest, 0)?,
            header: HEADER,
        };
        for _ in 0..2 {
            if !TAGS.contains(&ethernet.kind) {
                break;
            }
            ethernet.untag(frame)?;
        }
        Some(ethernet)
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.kind == IPV6
    }

    /// The IP packet of this frame. `None`: no IP, or it lies.
    #[inline]
    pub(crate) fn packet(&self, frame: &'a [u8]) -> Option<Packet<'a>> {
        let network = frame.get(self.header..)?;
        match self.kind {
            IPV4 => ipv4::parse(network),
            IPV6 => ipv6::parse(network),
            _ => None,
        }
    }

    fn untag(&mut self, frame: &[u8]) -> Option<()> {
        let id = field::u16(frame, self.header)? & VLAN_ID;
        match &mut self.vlans {
            [outer @ 0, _] => *outer = id,
            [_, inner] => *inner = id,
        }
        self.kind = field::u16(frame, self.header + 2)?;
        self.header += 4;
        Some(())
    }
}
