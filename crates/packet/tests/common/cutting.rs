//! Segments as a guest sends them, joined as the relay does it, and cut as the kernel does it.

use std::ops::Range;

use colo_packet::build::{self, Segment, set_id};
use colo_packet::checksum::Sum;
use colo_packet::{Frame, Offload, Train, flag};

use super::{v4, v6};

pub const CUT: usize = 1000;
const STAMPS: [u8; 12] = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
pub const LINK: usize = 14;

/// What a guest sends: whole frames with right checksums.
#[derive(Clone, Debug)]
pub struct Sent {
    pub v6: bool,
    pub stamped: bool,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub flags: u8,
    pub id: u16,
    pub payload: Vec<u8>,
}

impl Sent {
    pub fn frame(&self) -> Frame {
        let segment = Segment {
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            flags: self.flags,
            options: if self.stamped { &STAMPS } else { &[] },
            payload: &self.payload,
        };
        let mut frame = build::tcp(if self.v6 { v6() } else { v4() }, &segment);
        if !self.v6 {
            set_id(&mut frame, LINK, self.id);
        }
        frame.into()
    }
}

/// Segments that follow each other, of these sizes.
pub fn run(v6: bool, sizes: &[usize]) -> Vec<Sent> {
    let mut seq = 0xffff_f000_u32;
    let mut sent = Vec::new();
    for (number, size) in (0_u16..).zip(sizes) {
        let payload: Vec<_> = (0..*size).map(|at| (at as u32 ^ seq) as u8).collect();
        sent.push(Sent {
            v6,
            stamped: true,
            seq,
            ack: 7,
            window: 500,
            flags: flag::ACK,
            id: 0xfff0_u16.wrapping_add(number),
            payload,
        });
        seq = seq.wrapping_add(*size as u32);
    }
    sent
}

/// All frames that go as one, and that one as it is written.
pub fn joined(frames: &[Frame]) -> (usize, Vec<u8>) {
    let Some(mut train) = Train::of(&frames[0]) else {
        return (0, Vec::new());
    };
    let mut payloads = train.first(&frames[0]).to_vec();
    let rest = frames[1..].iter().map_while(|frame| train.join(frame));
    let count = rest.map(|payload| payloads.extend(payload)).count() + 1;
    (count, [&train.lead(), &payloads[..]].concat())
}

/// As `tcp_gso_segment` of the kernel does it.
pub fn cut(mut written: Vec<u8>) -> Vec<Vec<u8>> {
    let (virtio, frame) = written.split_at_mut(Offload::LEN);
    let [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1, ..] = *virtio else {
        unreachable!()
    };
    let number = |low, high| usize::from(u16::from_le_bytes([low, high]));
    let (headers, size, tcp) = (number(h0, h1), number(g0, g1), number(s0, s1));
    assert_eq!((flags, number(o0, o1)), (1, 16));
    assert_eq!(
        frame[tcp + 16..tcp + 18],
        (!pseudo(frame, tcp).finish()).to_be_bytes()
    );
    let (headers, payload) = frame.split_at(headers);
    let v6 = headers[12..14] == [0x86, 0xdd];
    assert_eq!(
        (kind, size),
        match payload.len() > size && size > 0 {
            true => (if v6 { 4 } else { 1 }, size),
            false => (0, 0),
        }
    );
    let pieces: Vec<_> = payload
        .chunks(if kind == 0 { payload.len() } else { size })
        .collect();
    let last = pieces.len() - 1;
    let each = pieces.iter().enumerate();
    each.map(|(at, piece)| segment(headers, tcp, at, at * size, piece, at == last))
        .collect()
}

fn pseudo(frame: &[u8], tcp: usize) -> Sum {
    let v4 = tcp == LINK + 20;
    let addresses = if v4 {
        LINK + 12..LINK + 20
    } else {
        LINK + 8..LINK + 40
    };
    Sum::default()
        .over(&frame[addresses])
        .over(&[0, 6])
        .over(&((frame.len() - tcp) as u32).to_be_bytes())
}

fn segment(headers: &[u8], tcp: usize, at: usize, offset: usize, piece: &[u8], last: bool) -> Vec<u8> {
    let add = |frame: &mut [u8], field: Range<usize>, more: usize| {
        let old = u32::from_be_bytes(frame[field.clone()].try_into().unwrap());
        frame[field].copy_from_slice(&old.wrapping_add(more as u32).to_be_bytes());
    };
    let mut frame = [headers, piece].concat();
    let v4 = tcp == LINK + 20;
    let length = (frame.len() - LINK - if v4 { 0 } else { 40 }) as u16;
    let field = if v4 { LINK + 2 } else { LINK + 4 };
    frame[field..field + 2].copy_from_slice(&length.to_be_bytes());
    add(&mut frame, tcp + 4..tcp + 8, offset);
    if !last {
        frame[tcp + 13] &= !flag::PSH;
    }
    frame[tcp + 16..tcp + 18].fill(0);
    let sum = pseudo(&frame, tcp).over(&frame[tcp..]).finish();
    frame[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
    if v4 {
        let id = u16::from_be_bytes([frame[LINK + 4], frame[LINK + 5]]);
        set_id(&mut frame, LINK, id.wrapping_add(at as u16));
    }
    frame
}
