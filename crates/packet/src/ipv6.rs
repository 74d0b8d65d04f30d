//! IPv6 and its extension headers (RFC 8200).

use crate::field;
use crate::ip::{Cut, Packet};

/// Without extension headers.
pub(crate) const HEADER: usize = 40;
/// More than this is no traffic that anybody sends on purpose.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

const FRAGMENT_HEADER: usize = 8;
const MORE: u16 = 1;
/// In bytes.
const OFFSET: u16 = 0xfff8;
const LENGTH: std::ops::Range<usize> = 4..6;
/// Of the fixed header.
const NEXT_HEADER: usize = 6;

/// `None`: not IPv6, cut short, a lying length (a jumbogram too), or too many extension headers.
#[inline(never)] // What becomes of an IPv4 packet then stays in registers.
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (bytes, upper) = walk(bytes)?;
    Some(Packet {
        source: field::u128(bytes, 8)?,
        destination: field::u128(bytes, 24)?,
        protocol: upper.protocol,
        cut: upper.cut,
        offset: upper.offset,
        payload: bytes.get(upper.offset..)?,
    })
}

/// The packet without padding of the link, and what it carries.
fn walk(bytes: &[u8]) -> Option<(&[u8], Upper)> {
    if bytes.first()? >> 4 != 6 {
        return None;
    }
    let length = usize::from(field::u16(bytes, LENGTH.start)?);
    let bytes = bytes.get(..HEADER + length)?;
    let upper = Upper::find(bytes, *bytes.get(NEXT_HEADER)?)?;
    Some((bytes, upper))
}

/// What stands behind the extension headers. The walk ends at the header of a fragment: what follows it may be the
/// middle of anything. An atomic fragment is all of its datagram, whatever else has its identification (RFC 6946).
struct Upper {
    protocol: u8,
    /// Where that is written.
    named_at: usize,
    cut: Option<Cut>,
    offset: usize,
}

impl Upper {
    fn find(bytes: &[u8], first: u8) -> Option<Self> {
        let mut upper = Self {
            protocol: first,
            named_at: NEXT_HEADER,
            cut: None,
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
    fn step(&mut self, bytes: &[u8]) -> Option<bool> {
        let units = |at: usize| bytes.get(at + 1).copied().map(usize::from);
        let length = match (self.cut, self.protocol) {
            (Some(_), _) => return Some(false),
            (None, HOP_BY_HOP | ROUTING | DESTINATION) => (units(self.offset)? + 1) * 8,
            (None, AUTHENTICATION) => (units(self.offset)? + 2) * 4,
            (None, FRAGMENT) => {
                self.cut = cut(bytes, self.offset)?;
                FRAGMENT_HEADER
            }
            (None, _) => return Some(false),
        };
        // A fragment's next header is that of the datagram: it is named where the fragment header was.
        if self.cut.is_none() {
            self.named_at = self.offset;
        }
        self.protocol = *bytes.get(self.offset)?;
        self.offset += length;
        Some(true)
    }
}

/// `None` within: an atomic fragment.
fn cut(bytes: &[u8], at: usize) -> Option<Option<Cut>> {
    let place = field::u16(bytes, at + 2)?;
    let cut = Cut {
        id: field::u32(bytes, at + 4)?,
        start: usize::from(place & OFFSET),
        more: place & MORE != 0,
    };
    Some((cut.more || cut.start > 0).then_some(cut))
}

/// Appends the packet that the headers before a fragment's own and all of the payload make. `None`: no fragment, or
/// longer than a packet can be.
pub(crate) fn put_together(to: &mut Vec<u8>, fragment: &[u8], payload: &[u8]) -> Option<()> {
    let (bytes, upper) = walk(fragment)?;
    upper.cut?;
    let headers = bytes.get(..upper.offset.checked_sub(FRAGMENT_HEADER)?)?;
    let length = u16::try_from(headers.len() - HEADER + payload.len()).ok()?;
    let start = to.len();
    to.extend(headers);
    to.extend(payload);
    let made = to.get_mut(start..)?;
    made.get_mut(LENGTH)?.copy_from_slice(&length.to_be_bytes());
    *made.get_mut(upper.named_at)? = upper.protocol;
    Some(())
}
