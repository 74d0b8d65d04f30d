//! ICMP (RFC 792) and ICMPv6 (RFC 4443): both begin with type, code and checksum.

use crate::field;

/// ICMPv6 of the link: router and neighbour solicitations, advertisements and redirects (RFC 4861), and who listens
/// to which multicast group (RFC 2710, RFC 3810).
pub(crate) const fn is_link_chore(kind: u8) -> bool {
    matches!(kind, 130..=137 | 143)
}

const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];

/// A message without its checksum.
pub(crate) struct Icmp<'a> {
    pub(crate) kind: u8,
    /// The identifier of an echo, else 0.
    pub(crate) id: u16,
    pub(crate) type_and_code: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// `None`: cut short.
pub(crate) fn parse(bytes: &[u8], v6: bool) -> Option<Icmp<'_>> {
    let kind = *bytes.first()?;
    let echo = if v6 { ECHO_V6 } else { ECHO };
    let id = field::u16(bytes, 4)?;
    Some(Icmp {
        kind,
        id: if echo.contains(&kind) { id } else { 0 },
        type_and_code: bytes.get(..2)?,
        rest: bytes.get(4..)?,
    })
}
