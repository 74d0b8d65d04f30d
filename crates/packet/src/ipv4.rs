//! IPv4 (RFC 791).

use std::net::Ipv4Addr;

use crate::field;
use crate::ip::Packet;

/// Without options.
const HEADER: usize = 20;
/// More fragments, or an offset that is not zero.
const FRAGMENTED: u16 = 0x3fff;

/// `None`: not IPv4, cut short, or a lying length.
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let fixed: &[u8; HEADER] = bytes.first_chunk()?;
    let header = header_length(fixed[0])?;
    let total = usize::from(field::u16(fixed, 2)?);
    let fragmented = field::u16(fixed, 6)? & FRAGMENTED != 0;
    Some(Packet {
        source: address(fixed, 12)?,
        destination: address(fixed, 16)?,
        protocol: fixed[9],
        fragment: if fragmented { bytes.get(6..8) } else { None },
        offset: header,
        payload: bytes.get(header..total)?,
    })
}

fn header_length(first: u8) -> Option<usize> {
    let words = usize::from(first & 0x0f);
    (first >> 4 == 4 && words * 4 >= HEADER).then_some(words * 4)
}

fn address(bytes: &[u8], at: usize) -> Option<u128> {
    let address = Ipv4Addr::from(field::u32(bytes, at)?);
    Some(address.to_ipv6_mapped().to_bits())
}
