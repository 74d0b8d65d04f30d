//! A segment that is to be cut, divided where it is going to be cut.
//!
//! A guest with offloads leaves segments of up to 64 KiB to be cut into equal ones by its network card or the kernel
//! (virtio 1.2, section 5.1.6.2). The front of one may go before the rest: a client sees the same segments.

use crate::checksum::Sum;
use crate::ethernet::Ethernet;
use crate::field::{self, put};
use crate::ip::{Packet, protocol};
use crate::ipv6;
use crate::offload::Frame;
use crate::tcp::{self, flag};

const ID: usize = 4;
const HEADER_CHECKSUM: usize = 10;

/// Takes the segments that lie within the first `payload` bytes of data off the front of a frame that is to be cut;
/// what is left in `frame` follows them. What was taken pushes: whoever sent it may wait for its acknowledgement.
///
/// `None`, and `frame` is as it was: it is not to be cut, not one segment lies within, or all of it does; it has other
/// flags than ACK, PSH and FIN; or anything but TCP directly behind IP.
pub fn divide(frame: &mut Frame, payload: usize) -> Option<Frame> {
    let place = Place::of(frame)?;
    let segments = payload / place.size;
    let taken = segments * place.size;
    let (headers, data) = frame.split_at_checked(place.data)?;
    let (front, back) = data
        .split_at_checked(taken)
        .filter(|(_, back)| !back.is_empty())?;
    if front.is_empty() {
        return None;
    }
    let mut first = of(frame, [headers, front].concat());
    let mut rest = of(frame, [headers, back].concat());
    let flags = place.flags & !(flag::PSH | flag::FIN);
    place.fill(&mut first, 0, 0, flags | flag::PSH)?;
    place.fill(&mut rest, taken as u32, segments as u16, place.flags)?;
    *frame = rest;
    Some(first)
}

fn of(frame: &Frame, bytes: Vec<u8>) -> Frame {
    Frame {
        bytes,
        offload: frame.offload,
    }
}

/// Where in a frame things are.
struct Place {
    v6: bool,
    network: usize,
    tcp: usize,
    data: usize,
    /// Payload of each segment.
    size: usize,
    flags: u8,
    seq: u32,
    /// IPv4's identification of the first segment.
    id: u16,
}

impl Place {
    fn of(frame: &Frame) -> Option<Self> {
        let size = frame.offload.segment()?;
        let ethernet = Ethernet::parse(frame)?;
        let packet = ethernet.packet(frame)?;
        let v6 = ethernet.is_v6();
        let tcp = ethernet.header + packet.offset;
        let whole = tcp + packet.payload.len() == frame.len();
        let plain = packet.cut.is_none() && (!v6 || packet.offset == ipv6::HEADER);
        let flags = *packet.payload.get(tcp::FLAGS)?;
        let usual = flags & !(flag::PSH | flag::FIN) == flag::ACK;
        let length = usize::from(packet.payload.get(tcp::FLAGS - 1)? >> 4) * 4;
        let summed = frame.offload.sums_at(tcp + tcp::CHECKSUM);
        if packet.protocol != protocol::TCP || !whole || !plain || !usual || !summed || length < tcp::HEADER {
            return None;
        }
        Some(Self {
            v6,
            network: ethernet.header,
            tcp,
            data: tcp + length,
            size,
            flags,
            seq: field::u32(packet.payload, tcp::SEQ)?,
            id: field::u16(frame, ethernet.header + ID)?,
        })
    }

    /// Makes headers fit a part that begins `bytes`, and so many `segments`, behind the beginning.
    fn fill(&self, part: &mut Frame, bytes: u32, segments: u16, flags: u8) -> Option<()> {
        put(
            part,
            self.tcp + tcp::SEQ,
            self.seq.wrapping_add(bytes).to_be_bytes(),
        )?;
        put(part, self.tcp + tcp::FLAGS, [flags])?;
        let length = part.len() - self.network;
        if self.v6 {
            put(
                part,
                self.network + 4,
                ((length - ipv6::HEADER) as u16).to_be_bytes(),
            )?;
        } else {
            put(part, self.network + 2, (length as u16).to_be_bytes())?;
            put(
                part,
                self.network + ID,
                self.id.wrapping_add(segments).to_be_bytes(),
            )?;
            put(part, self.network + HEADER_CHECKSUM, [0; 2])?;
            let sum = Sum::default().over(part.get(self.network..self.tcp)?).finish();
            put(part, self.network + HEADER_CHECKSUM, sum.to_be_bytes())?;
        }
        let pseudo = self.pseudo_header(part)?;
        put(part, self.tcp + tcp::CHECKSUM, pseudo)?;
        part.offload = part.offload.of_part(self.data, part.len() - self.data, pseudo);
        Some(())
    }

    /// What a checksum to be completed begins with.
    fn pseudo_header(&self, part: &Frame) -> Option<[u8; 2]> {
        let packet: Packet<'_> = Ethernet::parse(part)?.packet(part)?;
        let sum = packet.pseudo_header(self.v6, part.len() - self.tcp);
        Some((!sum.finish()).to_be_bytes())
    }
}
