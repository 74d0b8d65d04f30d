//! Segments of one connection that follow each other, joined into a frame that the way out cuts again.
//!
//! A guest without offloads sends 46 frames for 64 KiB, and each has to find its way through the kernel alone. Joined,
//! they are what a guest with offloads would have sent (virtio 1.2, section 5.1.6.2). Joined is only what is cut to the
//! same frames again: the rule of the kernel's own joining (`tcp_gro_receive`, net/ipv4/tcp_offload.c), and all options
//! the same. Checksums are made anew, by whoever cuts.

use std::ops::{Deref, Range};

use crate::checksum::Sum;
use crate::ethernet::Ethernet;
use crate::field;
use crate::ip::protocol;
use crate::ipv6;
use crate::offload::{Frame, Offload};
use crate::tcp::{self, flag};

/// Of Ethernet without tags.
const LINK: usize = 14;
/// Of IPv4 without options.
const IPV4: usize = 20;
/// Of an IP packet.
const PACKET: usize = 65_535;
/// With the longest TCP header.
const HEADERS: usize = LINK + ipv6::HEADER + 60;
const V4_LENGTH: Range<usize> = LINK + 2..LINK + 4;
const V4_ID: Range<usize> = LINK + 4..LINK + 6;
const V4_CHECKSUM: Range<usize> = LINK + 10..LINK + 12;
const V4_ADDRESSES: Range<usize> = LINK + 12..LINK + IPV4;
const V6_LENGTH: Range<usize> = LINK + 4..LINK + 6;
const V6_ADDRESSES: Range<usize> = LINK + 8..LINK + ipv6::HEADER;

/// Headers, those of virtio and of the network, that go before the payloads of all frames.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    bytes: [u8; Offload::LEN + HEADERS],
    length: usize,
}

impl Deref for Lead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What a frame has in its headers: the same in all frames of a train, and what changes from one to the next.
#[derive(Clone, Copy)]
struct Segment {
    /// Without what changes.
    headers: [u8; HEADERS],
    /// Of the headers.
    length: usize,
    v6: bool,
    id: u16,
    seq: u32,
    push: bool,
    payload: usize,
}

impl Segment {
    /// `None`: not one of data alone, or with anything that a train cannot have: tags, IP options, flags, padding.
    fn read(frame: &Frame) -> Option<Self> {
        let ethernet = Ethernet::parse(frame).filter(|ethernet| ethernet.header == LINK)?;
        let packet = ethernet.packet(frame)?;
        let v6 = ethernet.is_v6();
        let plain = packet.offset == if v6 { ipv6::HEADER } else { IPV4 };
        let whole = LINK + packet.offset + packet.payload.len() == frame.len();
        if frame.offload != Offload::default() || !plain || !whole || packet.cut.is_some() {
            return None;
        }
        let at = LINK + packet.offset;
        let length = at + usize::from(packet.payload.get(12)? >> 4) * 4;
        let flags = *packet.payload.get(tcp::FLAGS)?;
        let data = packet.protocol == protocol::TCP && flags & !flag::PSH == flag::ACK;
        if !data || length < at + tcp::HEADER || frame.len() <= length {
            return None;
        }
        let mut segment = Self {
            headers: [0; HEADERS],
            length,
            v6,
            id: if v6 { 0 } else { field::u16(frame, V4_ID.start)? },
            seq: field::u32(frame, at + tcp::SEQ)?,
            push: flags & flag::PSH != 0,
            payload: frame.len() - length,
        };
        segment
            .headers
            .get_mut(..length)?
            .copy_from_slice(frame.get(..length)?);
        segment.blank()?;
        Some(segment)
    }

    /// Where the TCP header begins.
    const fn tcp(&self) -> usize {
        LINK + if self.v6 { ipv6::HEADER } else { IPV4 }
    }

    fn blank(&mut self) -> Option<()> {
        let at = self.tcp();
        self.put(at + tcp::SEQ, [0; 4])?;
        self.put(at + tcp::CHECKSUM, [0; 2])?;
        self.put(at + tcp::FLAGS, [flag::ACK])?;
        if self.v6 {
            return self.put(V6_LENGTH.start, [0; 2]);
        }
        for field in [V4_LENGTH, V4_ID, V4_CHECKSUM] {
            self.put(field.start, [0; 2])?;
        }
        Some(())
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) -> Option<()> {
        field::put(&mut self.headers, at, value)
    }
}

/// Frames that are joined. Their payloads stay where they are.
pub struct Train {
    first: Segment,
    /// Of all frames.
    payload: usize,
    frames: u16,
    /// The last one pushes or is shorter than the first one: nothing may follow it.
    ended: bool,
    push: bool,
}

impl Train {
    /// One that begins with this frame. `None`: nothing can follow it.
    #[must_use]
    pub fn of(frame: &Frame) -> Option<Self> {
        let first = Segment::read(frame).filter(|first| !first.push)?;
        Some(Self {
            payload: first.payload,
            first,
            frames: 1,
            ended: false,
            push: false,
        })
    }

    /// Joins a frame, and gives its payload. `None`: it does not follow.
    pub fn join<'a>(&mut self, frame: &'a Frame) -> Option<&'a [u8]> {
        let next = Segment::read(frame)?;
        let follows = !self.ended
            && next.headers == self.first.headers
            && next.length == self.first.length
            && next.seq == self.first.seq.wrapping_add(self.payload as u32)
            && (next.v6 || next.id == self.first.id.wrapping_add(self.frames))
            && next.payload <= self.first.payload
            && next.length - LINK + self.payload + next.payload <= PACKET;
        if !follows {
            return None;
        }
        self.payload += next.payload;
        self.frames += 1;
        self.push = next.push;
        self.ended = next.push || next.payload < self.first.payload;
        frame.get(next.length..)
    }

    /// The payload of the frame it began with.
    #[must_use]
    pub fn first<'a>(&self, frame: &'a Frame) -> &'a [u8] {
        frame.get(self.first.length..).unwrap_or_default()
    }

    /// What goes before the payloads.
    #[must_use]
    pub fn lead(&self) -> Lead {
        let mut made = self.first;
        let filled = self.fill(&mut made);
        debug_assert!(filled.is_some(), "the headers were read");
        let offload = Offload::cut(made.v6, made.length, made.payload, made.tcp(), tcp::CHECKSUM);
        let mut bytes = [0; Offload::LEN + HEADERS];
        let (virtio, network) = bytes.split_at_mut(Offload::LEN);
        virtio.copy_from_slice(&offload.header());
        network.copy_from_slice(&made.headers);
        Lead {
            bytes,
            length: Offload::LEN + made.length,
        }
    }

    /// Puts in what belongs to all frames together.
    fn fill(&self, made: &mut Segment) -> Option<()> {
        let at = made.tcp();
        let segment = made.length - at + self.payload;
        made.put(at + tcp::SEQ, made.seq.to_be_bytes())?;
        made.put(
            at + tcp::FLAGS,
            [flag::ACK | if self.push { flag::PSH } else { 0 }],
        )?;
        let addresses = if made.v6 { V6_ADDRESSES } else { V4_ADDRESSES };
        let pseudo = Sum::default()
            .over(made.headers.get(addresses)?)
            .over(&[0, protocol::TCP])
            .over(&(segment as u32).to_be_bytes());
        made.put(at + tcp::CHECKSUM, (!pseudo.finish()).to_be_bytes())?;
        if made.v6 {
            return made.put(V6_LENGTH.start, (segment as u16).to_be_bytes());
        }
        made.put(V4_LENGTH.start, ((IPV4 + segment) as u16).to_be_bytes())?;
        made.put(V4_ID.start, made.id.to_be_bytes())?;
        let sum = Sum::default().over(made.headers.get(LINK..at)?).finish();
        made.put(V4_CHECKSUM.start, sum.to_be_bytes())
    }
}
