//! What a network card has still to do to a frame: virtio's header for network packets (virtio 1.2, section 5.1.6).
//!
//! A guest with offloads leaves segments of up to 64 KiB to be cut, and checksums to be completed: until then the
//! checksum field holds the sum of the pseudo header alone.

use std::ops::{Deref, DerefMut, Range};

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_ECN: u8 = 0x80;
/// An Ethernet header.
const SHORTEST: usize = 14;

/// The header of one frame, checked against it. By default there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    flags: u8,
    gso_type: u8,
    header_length: u16,
    /// Payload of each segment that it is to be cut into.
    gso_size: u16,
    checksum_start: u16,
    checksum_offset: u16,
    /// The checksum field as it came, if it is to be completed.
    partial: [u8; 2],
}

impl Offload {
    /// Bytes of the header: that of virtio 1.0, little-endian, with `num_buffers`.
    pub const LEN: usize = 12;

    /// Takes the header off a frame. `None`: too short, or the header asks for what the frame cannot bear or for what
    /// nobody offered (UDP segmentation).
    #[must_use]
    pub fn split(bytes: &mut [u8]) -> Option<(Self, &mut [u8])> {
        let (header, frame) = bytes.split_first_chunk_mut()?;
        let mut offload = Self::parse(header);
        offload.fits(frame.len()).then_some(())?;
        if let Some(field) = offload.field() {
            offload.partial.copy_from_slice(frame.get(field)?);
        }
        Some((offload, frame))
    }

    const fn parse(header: &[u8; Self::LEN]) -> Self {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1, ..] = *header;
        Self {
            flags,
            gso_type,
            header_length: u16::from_le_bytes([h0, h1]),
            gso_size: u16::from_le_bytes([g0, g1]),
            checksum_start: u16::from_le_bytes([s0, s1]),
            checksum_offset: u16::from_le_bytes([o0, o1]),
            partial: [0; 2],
        }
    }

    fn fits(&self, length: usize) -> bool {
        let known = self.flags & !(NEEDS_CSUM | DATA_VALID) == 0;
        let cut = match self.gso_type & !GSO_ECN {
            0 => self.gso_type == 0,
            GSO_TCPV4 | GSO_TCPV6 => self.gso_size > 0 && self.flags & NEEDS_CSUM != 0,
            _ => false,
        };
        let within = usize::from(self.header_length) <= length;
        let field = self.field().is_none_or(|field| field.end <= length);
        length >= SHORTEST && known && cut && within && field
    }

    /// Where the checksum to be completed is.
    fn field(&self) -> Option<Range<usize>> {
        let at = usize::from(self.checksum_start) + usize::from(self.checksum_offset);
        (self.flags & NEEDS_CSUM != 0).then_some(at..at + 2)
    }

    /// Of TCP segments that are to be cut to `payload` bytes each, with checksums to be completed; `headers` in all, TCP's
    /// begins at `at`, and its checksum is `checksum` bytes behind that. All below 2^16: they are of one packet.
    pub(crate) const fn cut(v6: bool, headers: usize, payload: usize, at: usize, checksum: usize) -> Self {
        Self {
            flags: NEEDS_CSUM,
            gso_type: if v6 { GSO_TCPV6 } else { GSO_TCPV4 },
            header_length: headers as u16,
            gso_size: payload as u16,
            checksum_start: at as u16,
            checksum_offset: checksum as u16,
            partial: [0; 2],
        }
    }

    /// Payload of each segment that it is to be cut into; `None`: it is not.
    #[must_use]
    pub fn segment(&self) -> Option<usize> {
        (self.gso_type != 0).then_some(self.gso_size.into())
    }

    /// The checksum to be completed is there.
    pub(crate) fn sums_at(&self, at: usize) -> bool {
        self.field().is_some_and(|field| field.start == at)
    }

    /// Of a part of the segment, with so many bytes of headers and payload, and this in its checksum field. What came
    /// counts as headers all that is in one piece of the kernel's memory, which can be more than the part has.
    pub(crate) fn of_part(mut self, headers: usize, payload: usize, partial: [u8; 2]) -> Self {
        self.partial = partial;
        self.header_length = headers as u16;
        if payload <= usize::from(self.gso_size) {
            (self.gso_type, self.gso_size) = (0, 0);
        }
        self
    }

    /// Nothing is to be cut or summed.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.flags & NEEDS_CSUM == 0 && self.gso_type == 0
    }

    /// The header, to go before the frame.
    #[must_use]
    pub const fn header(&self) -> [u8; Self::LEN] {
        let [h0, h1] = self.header_length.to_le_bytes();
        let [g0, g1] = self.gso_size.to_le_bytes();
        let [s0, s1] = self.checksum_start.to_le_bytes();
        let [o0, o1] = self.checksum_offset.to_le_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1, 0, 0]
    }

    /// To be called when numbers of the frame were changed: a checksum to be completed covers none of them, and becomes
    /// again what it was before it was mended. A whole one stays mended.
    pub fn restore(&self, frame: &mut [u8]) {
        if let Some(place) = self.field().and_then(|field| frame.get_mut(field)) {
            place.copy_from_slice(&self.partial);
        }
    }
}

/// A frame, and what its network card has still to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
    /// As the guest's card was told; nothing for frames that are whole.
    pub offload: Offload,
}

impl Frame {
    /// After changes of its numbers: see [`Offload::restore`].
    pub fn restore_checksum(&mut self) {
        self.offload.restore(&mut self.bytes);
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            offload: Offload::default(),
        }
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}
