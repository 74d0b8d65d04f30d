//! UDP (RFC 768).

use crate::field;

/// A datagram; its checksum says nothing that the rest does not.
pub(crate) struct Udp<'a> {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) payload: &'a [u8],
}

/// `None`: cut short or a lying length.
pub(crate) fn parse(bytes: &[u8]) -> Option<Udp<'_>> {
    let length = usize::from(field::u16(bytes, 4)?);
    Some(Udp {
        source: field::u16(bytes, 0)?,
        destination: field::u16(bytes, 2)?,
        payload: bytes.get(8..length)?,
    })
}
