//! An acknowledgement made from another segment of its connection.

use crate::checksum::Sum;
use crate::ethernet::{self, Ethernet};
use crate::ip::{Packet, protocol};
use crate::tcp::{FLAGS, HEADER, flag};
use crate::{ipv6, options};

/// Kind, length, two numbers; two paddings before keep them aligned (RFC 7323 appendix A).
const TIMESTAMPS: usize = 12;
const LONGEST: usize = HEADER + TIMESTAMPS;
/// Congestion marks that TCP's flags carry: they tell of what was received before (RFC 3168, RFC 9768).
const CONGESTION: u8 = 0xc0;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];
const CHECKSUM: std::ops::Range<usize> = 16..18;

/// A segment without data: `seq`, `ack` and `window` (not scaled) are its numbers, all else is as in `frame`.
///
/// Of the options timestamps stay; SACK blocks tell of a moment that has passed. It is not marked as capable of ECN
/// (RFC 3168 section 6.1.4). `None`: no TCP, or extension headers stand before it, which can change what is summed.
#[must_use]
pub fn pure_ack(frame: &[u8], seq: u32, ack: u32, window: u16) -> Option<Vec<u8>> {
    let ethernet = Ethernet::parse(frame)?;
    let (link, network) = frame.split_at_checked(ethernet.header)?;
    let packet = ethernet.packet(frame)?;
    if ethernet.is_v6() && packet.offset != ipv6::HEADER {
        return None;
    }
    if packet.protocol != protocol::TCP || packet.cut.is_some() {
        return None;
    }
    let segment = segment(packet.payload, seq, ack, window)?;
    let header = network.get(..packet.offset)?;
    let mut made = Vec::with_capacity(ethernet.header + packet.offset + segment.len());
    made.extend_from_slice(link);
    match ethernet.kind {
        ethernet::IPV4 => ipv4_header(&mut made, header, segment.len())?,
        _ => ipv6_header(&mut made, header, segment.len())?,
    }
    made.extend(summed(&packet, ethernet.is_v6(), segment));
    Some(made)
}

/// The segment with a checksum of zero.
fn segment(of: &[u8], seq: u32, ack: u32, window: u16) -> Option<Vec<u8>> {
    let fixed: &[u8; HEADER] = of.first_chunk()?;
    let all = of.get(HEADER..usize::from(fixed[12] >> 4) * 4)?;
    let stamps =
        options::entries(all).find(|entry| entry.kind == options::TIMESTAMPS && entry.data.len() == 8);
    let length = if stamps.is_some() { LONGEST } else { HEADER };
    let mut made = Vec::with_capacity(length);
    made.extend(fixed.iter().take(4));
    made.extend(seq.to_be_bytes());
    made.extend(ack.to_be_bytes());
    let reserved = fixed[12] & 0x0f;
    made.extend([
        (length as u8 / 4) << 4 | reserved,
        fixed[FLAGS] & CONGESTION | flag::ACK,
    ]);
    made.extend(window.to_be_bytes());
    made.extend([0; 4]);
    if let Some(stamps) = stamps {
        made.extend([1, 1, options::TIMESTAMPS, 10]);
        made.extend(stamps.data);
    }
    Some(made)
}

fn ipv4_header(to: &mut Vec<u8>, header: &[u8], payload: usize) -> Option<()> {
    let start = to.len();
    let length = u16::try_from(header.len() + payload).ok()?;
    let traffic = header.get(1)? & 0xfc;
    to.extend([*header.first()?, traffic]);
    to.extend(length.to_be_bytes());
    // Never cut into fragments, so its identification means nothing (RFC 6864).
    to.extend([0, 0]);
    to.extend(DONT_FRAGMENT);
    to.extend(header.get(8..10)?);
    to.extend([0, 0]);
    to.extend(header.get(12..)?);
    let sum = Sum::default().over(to.get(start..)?).finish();
    to.get_mut(start + 10..start + 12)?
        .copy_from_slice(&sum.to_be_bytes());
    Some(())
}

fn ipv6_header(to: &mut Vec<u8>, header: &[u8], payload: usize) -> Option<()> {
    let length = u16::try_from(payload).ok()?;
    // The two low bits of the traffic class are in the second byte's upper half.
    to.extend([*header.first()?, header.get(1)? & 0xcf]);
    to.extend(header.get(2..4)?);
    to.extend(length.to_be_bytes());
    to.extend(header.get(6..)?);
    Some(())
}

/// With its checksum.
fn summed(packet: &Packet<'_>, v6: bool, mut segment: Vec<u8>) -> Vec<u8> {
    let sum = packet.pseudo_header(v6, segment.len()).over(&segment).finish();
    if let Some(place) = segment.get_mut(CHECKSUM) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    segment
}
