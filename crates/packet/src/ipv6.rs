//! IPv6 and its extension headers (RFC 8200).

use crate::field;
use crate::ip::Packet;

/// Without extension headers.
pub(crate) const HEADER: usize = 40;
/// More than this is no traffic that anybody sends on purpose.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// `None`: not IPv6, cut short, a lying length (a jumbogram too), or too many extension headers.
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    if bytes.first()? >> 4 != 6 {
        return None;
    }
    let length = usize::from(field::u16(bytes, 4)?);
    let bytes = bytes.get(..HEADER + length)?;
    let upper = Upper::find(bytes, *bytes.get(6)?)?;
    Some(Packet {
        source: field::u128(bytes, 8)?,
        destination: field::u128(bytes, 24)?,
        protocol: upper.protocol,
        fragment: upper.fragment,
        offset: upper.offset,
        payload: bytes.get(upper.offset..)?,
    })
}

/// What stands behind the extension headers. The walk ends at a fragment header: what follows it may be the middle
/// of anything.
struct Upper<'a> {
    protocol: u8,
    fragment: Option<&'a [u8]>,
    offset: usize,
}

impl<'a> Upper<'a> {
    fn find(bytes: &'a [u8], first: u8) -> Option<Self> {
        let mut upper = Self {
            protocol: first,
            fragment: None,
            offset: HEADER,
        };
        for _ in 0..=MAX_EXTENSIONS {
            if !upper.step(bytes)? {
                return Some(upper);
            }
        }
        None
    }

    /// Over one extension header; `false` when there is none to go over.
    fn step(&mut self, bytes: &'a [u8]) -> Option<bool> {
        let units = |at: usize| bytes.get(at + 1).copied().map(usize::from);
        let length = match (self.fragment, self.protocol) {
            (Some(_), _) => return Some(false),
            (None, HOP_BY_HOP | ROUTING | DESTINATION) => (units(self.offset)? + 1) * 8,
            (None, AUTHENTICATION) => (units(self.offset)? + 2) * 4,
            (None, FRAGMENT) => {
                self.fragment = Some(bytes.get(self.offset + 2..self.offset + 4)?);
                8
            }
            (None, _) => return Some(false),
        };
        self.protocol = *bytes.get(self.offset)?;
        self.offset += length;
        Some(true)
    }
}
