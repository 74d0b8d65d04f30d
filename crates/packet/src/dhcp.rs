//! What a DHCP client says (RFC 2131, DHCPv6: RFC 8415).
//!
//! Each copy of a guest draws its own transaction identifiers, so two of them never say the same; and asking for an
//! address, or for it to be kept, does no harm when it is said once more. To give an address back does: that is a
//! message like any other.

use crate::field;
use crate::udp::Udp;

const CLIENT_TO_SERVER: (u16, u16) = (68, 67);
const CLIENT_TO_SERVER_V6: (u16, u16) = (546, 547);

/// Behind the fixed fields, before the options.
const COOKIE: usize = 236;
const MAGIC: u32 = 0x6382_5363;
const MESSAGE_TYPE: u8 = 53;
const PAD: u8 = 0;
const END: u8 = 255;
const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const INFORM: u8 = 8;

/// A client asks for or renews something.
pub(crate) fn is_chore(udp: &Udp<'_>, v6: bool) -> bool {
    match (udp.source, udp.destination) {
        CLIENT_TO_SERVER if !v6 => matches!(message_type(udp.payload), Some(DISCOVER | REQUEST | INFORM)),
        // Solicit, Request, Confirm, Renew, Rebind, Information-request.
        CLIENT_TO_SERVER_V6 if v6 => matches!(udp.payload.first(), Some(1 | 3..=6 | 11)),
        _ => false,
    }
}

fn message_type(payload: &[u8]) -> Option<u8> {
    if field::u32(payload, COOKIE)? != MAGIC {
        return None;
    }
    let mut options = payload.get(COOKIE + 4..)?;
    loop {
        options = match options {
            [PAD, rest @ ..] => rest,
            [MESSAGE_TYPE, 1, kind, ..] => return Some(*kind),
            [] | [END, ..] | [_] => return None,
            [_, length, rest @ ..] => rest.get(usize::from(*length)..)?,
        };
    }
}
