//! TCP segments (RFC 9293).

use crate::flow::{Direction, FlowKey};
use crate::{field, options};

/// Bits of [`Tcp::flags`].
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
}

pub(crate) const SEQ: usize = 4;
pub(crate) const ACK: usize = 8;
pub(crate) const FLAGS: usize = 13;
pub(crate) const WINDOW: usize = 14;
pub(crate) const CHECKSUM: usize = 16;
const URGENT: usize = 18;
pub(crate) const HEADER: usize = 20;

/// Where in its frame a segment stands; good for this frame only.
#[derive(Clone, Copy, Debug)]
pub struct TcpAt {
    /// Of the TCP header, from the first byte of the frame.
    pub(crate) offset: usize,
    /// Bytes of options behind the fixed header.
    pub(crate) options: usize,
}

/// A segment whose lengths are checked.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    /// The connection.
    pub flow: FlowKey,
    /// Sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// Acknowledgement number; it counts only with [`flag::ACK`].
    pub ack: u32,
    /// See [`flag`].
    pub flags: u8,
    /// As in the header, not scaled.
    pub window: u16,
    /// The urgent pointer; it counts only with [`flag::URG`].
    pub urgent: u16,
    /// All bytes of options, padding too.
    pub options: &'a [u8],
    /// The data, without padding of the link.
    pub payload: &'a [u8],
    /// For changing the frame.
    pub at: TcpAt,
}

impl<'a> Tcp<'a> {
    /// Reads a segment that stands at `offset` of its frame; `flow` is complete but for ports. `None`: cut short or
    /// a lying data offset.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8], offset: usize, flow: FlowKey, direction: Direction) -> Option<Self> {
        let fixed: &[u8; HEADER] = bytes.first_chunk()?;
        let header = usize::from(fixed[12] >> 4) * 4;
        let options = bytes.get(HEADER..header)?;
        let ports = direction.guest_first(field::u16(fixed, 0)?, field::u16(fixed, 2)?);
        Some(Self {
            flow: flow.with_ports(ports),
            seq: field::u32(fixed, SEQ)?,
            ack: field::u32(fixed, ACK)?,
            flags: fixed[FLAGS],
            window: field::u16(fixed, WINDOW)?,
            urgent: field::u16(fixed, URGENT)?,
            options,
            payload: bytes.get(header..)?,
            at: TcpAt {
                offset,
                options: options.len(),
            },
        })
    }

    /// Has SYN.
    #[must_use]
    pub const fn syn(&self) -> bool {
        self.flags & flag::SYN != 0
    }

    /// Has FIN.
    #[must_use]
    pub const fn fin(&self) -> bool {
        self.flags & flag::FIN != 0
    }

    /// Has RST.
    #[must_use]
    pub const fn rst(&self) -> bool {
        self.flags & flag::RST != 0
    }

    /// Has ACK: `ack` counts.
    #[must_use]
    pub const fn ack_flag(&self) -> bool {
        self.flags & flag::ACK != 0
    }

    /// Nothing but an acknowledgement: no payload, and nothing that begins or ends the connection.
    #[must_use]
    pub const fn only_acknowledges(&self) -> bool {
        self.payload.is_empty() && self.flags & (flag::SYN | flag::FIN | flag::RST) == 0
    }

    /// Where urgent data ends (RFC 6093): the position that the urgent pointer names.
    #[must_use]
    pub const fn urgent_end(&self) -> Option<u32> {
        if self.flags & flag::URG != 0 {
            Some(self.seq.wrapping_add(self.urgent as u32))
        } else {
            None
        }
    }

    /// Bits by which windows are to be shifted, if a SYN says so: 14 at most (RFC 7323 section 2.3).
    #[must_use]
    pub fn window_scale(&self) -> Option<u8> {
        options::entries(self.options).find_map(|entry| match (entry.kind, entry.data) {
            (options::WINDOW_SCALE, [shift]) => Some((*shift).min(14)),
            _ => None,
        })
    }

    /// Sequence numbers it takes: payload, SYN and FIN (SEG.LEN of RFC 9293). Below 2^16 + 2.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.payload.len() as u32 + self.syn() as u32 + self.fin() as u32
    }

    /// Takes no sequence number: an acknowledgement, a window update, a reset.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Selective acknowledgements: left edge, and right edge (one past the last byte); RFC 2018.
    pub fn sack_blocks(&self) -> impl Iterator<Item = (u32, u32)> {
        let options = self.options;
        options::sack_offsets(options).filter_map(|at| options::sack_block(options, at))
    }

    /// The same options in the same order. Padding and the values of timestamps may differ, not whether there
    /// are timestamps: that is negotiated.
    #[must_use]
    pub fn syn_options_equal(&self, other: &Tcp<'_>) -> bool {
        negotiated(self.options).eq(negotiated(other.options))
    }
}

fn negotiated(options: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    options::entries(options).map(|entry| match entry.kind {
        options::TIMESTAMPS => (entry.kind, [].as_slice()),
        kind => (kind, entry.data),
    })
}
