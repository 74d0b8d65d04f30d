//! Frames: any bytes are some frame; a changed number changes nothing else, and the checksum stays as right as it was.
#![no_main]

use colo_fuzz::{Frame, offloaded};
use colo_packet::checksum::Sum;
use colo_packet::{
    Direction, FlowKey, Item, Offload, Tcp, classify, divide, put_together, set_ack, set_seq, shift_sack,
    source,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Frame<'_>, u32, [u8; Offload::LEN])| {
    let (frame, number) = (input.0.bytes(), input.1);
    if let Some(whole) = offloaded(input.2, frame.clone()) {
        parts(&whole, number);
    }
    assert!(frame.len() >= 14 || source(&frame).is_none());
    for direction in [Direction::Incoming, Direction::Outgoing] {
        match classify(&frame, direction) {
            Item::Tcp(tcp) => segment(&frame, direction, &tcp, number),
            Item::Message { flow, body } => {
                assert!(body.len() <= frame.len());
                assert!(body.equals(&body));
                key(&flow);
            }
            Item::Fragment(piece) => {
                assert!(piece.at + piece.len <= frame.len());
                assert!(piece.start < 1 << 16 && piece.start % 8 == 0);
                key(&piece.flow);
                let made = put_together(&frame, &number.to_be_bytes());
                assert!(made.is_none_or(|made| made.ends_with(&number.to_be_bytes())));
            }
            Item::Chore => {}
        }
    }
});

/// A segment in two parts has the same bytes, and headers twice.
fn parts(whole: &colo_packet::Frame, payload: u32) {
    let mut rest = whole.clone();
    let Some(front) = divide(&mut rest, payload as usize) else {
        assert_eq!(rest, *whole);
        return;
    };
    let headers = front.len() + rest.len() - whole.len();
    assert!(front.len() > headers && front.len() - headers <= payload as usize);
    assert!(rest.len() > headers);
    assert_eq!([&front[headers..], &rest[headers..]].concat(), whole[headers..]);
}

fn key(flow: &FlowKey) {
    let mut bytes = Vec::new();
    flow.encode(&mut bytes);
    assert_eq!(bytes.len(), FlowKey::ENCODED);
    assert_eq!(FlowKey::decode(&bytes).as_ref(), Some(flow));
    assert!(!flow.to_string().is_empty());
}

fn segment(frame: &[u8], direction: Direction, tcp: &Tcp<'_>, number: u32) {
    key(&tcp.flow);
    assert!(tcp.payload.len() + tcp.options.len() + 54 <= frame.len());
    assert!(tcp.syn_options_equal(tcp));
    let sacks: Vec<_> = tcp.sack_blocks().collect();

    let changed = edit(frame, direction, |frame, tcp| set_seq(frame, tcp.at, number));
    expect(&changed, direction, |now| {
        now.seq == number && now.ack == tcp.ack && now.payload == tcp.payload
    });
    let changed = edit(frame, direction, |frame, tcp| set_ack(frame, tcp.at, number));
    expect(&changed, direction, |now| {
        now.ack == number && now.seq == tcp.seq && now.payload == tcp.payload
    });
    let changed = edit(frame, direction, |frame, tcp| shift_sack(frame, tcp.at, number));
    expect(&changed, direction, |now| {
        let moved = sacks
            .iter()
            .map(|(left, right)| (left.wrapping_add(number), right.wrapping_add(number)));
        now.sack_blocks().eq(moved) && now.payload == tcp.payload
    });
}

fn edit(frame: &[u8], direction: Direction, change: impl Fn(&mut [u8], &Tcp<'_>)) -> Vec<u8> {
    let mut changed = frame.to_vec();
    let Item::Tcp(tcp) = classify(frame, direction) else {
        return changed;
    };
    change(&mut changed, &tcp);
    assert_eq!(sum(frame), sum(&changed), "the checksum was mended wrongly");
    changed
}

/// The sum of a frame with all its checksums: mending keeps it, whatever it was. Segments begin at even offsets.
fn sum(frame: &[u8]) -> u16 {
    match Sum::default().over(frame).finish() {
        0xffff => 0,
        sum => sum,
    }
}

fn expect(frame: &[u8], direction: Direction, holds: impl Fn(&Tcp<'_>) -> bool) {
    assert!(
        matches!(classify(frame, direction), Item::Tcp(tcp) if holds(&tcp)),
        "the change went elsewhere"
    );
}
