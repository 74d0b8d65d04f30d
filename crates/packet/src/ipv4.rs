//! IPv4 (RFC 791).

use std::net::Ipv4Addr;

use crate::field;
use crate::ip::{Cut, Packet};

/// Without options.
const HEADER: usize = 20;
const MORE: u16 = 0x2000;
/// In units of 8 bytes.
const OFFSET: u16 = 0x1fff;
const TOTAL: std::ops::Range<usize> = 2..4;
const FRAGMENT: std::ops::Range<usize> = 6..8;

/// `None`: not IPv4, cut short, or a lying length.
#[inline]
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let fixed: &[u8; HEADER] = bytes.first_chunk()?;
    let header = header_length(fixed[0])?;
    let total = usize::from(field::u16(fixed, 2)?);
    Some(Packet {
        source: address(fixed, 12)?,
        destination: address(fixed, 16)?,
        protocol: fixed[9],
        cut: cut(fixed)?,
        offset: header,
        payload: bytes.get(header..total)?,
    })
}

fn header_length(first: u8) -> Option<usize> {
    let words = usize::from(first & 0x0f);
    (first >> 4 == 4 && words * 4 >= HEADER).then_some(words * 4)
}

/// `None` within: a whole datagram.
fn cut(fixed: &[u8; HEADER]) -> Option<Option<Cut>> {
    let fragment = field::u16(fixed, FRAGMENT.start)?;
    if fragment & (MORE | OFFSET) == 0 {
        return Some(None);
    }
    Some(Some(Cut {
        id: field::u16(fixed, 4)?.into(),
        start: usize::from(fragment & OFFSET) * 8,
        more: fragment & MORE != 0,
    }))
}

/// Appends the packet that a fragment's header and all of the payload make. `None`: longer than a packet can be.
///
/// The header's checksum stays the fragment's.
pub(crate) fn put_together(to: &mut Vec<u8>, header: &[u8], payload: &[u8]) -> Option<()> {
    let start = to.len();
    let total = u16::try_from(header.len() + payload.len()).ok()?;
    to.extend(header);
    to.extend(payload);
    let made = to.get_mut(start..)?;
    made.get_mut(TOTAL)?.copy_from_slice(&total.to_be_bytes());
    made.get_mut(FRAGMENT)?.fill(0);
    Some(())
}

fn address(bytes: &[u8], at: usize) -> Option<u128> {
    let address = Ipv4Addr::from(field::u32(bytes, at)?);
    Some(address.to_ipv6_mapped().to_bits())
}
