//! Two renderings of the same stream, whatever the segmentation, repetition and order: everything is released, in
//! epoch 1 and by agreement alone, and nothing is found different. With one wrong byte, nothing from there on goes.
#![no_main]

use colo_compare::{Compare, Event, Limits};
use colo_packet::build::{self, Route, Segment};
use colo_packet::{Direction, Item, classify, flag, put_together};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Below what is parked of a side (64 pieces): beyond that the answer is a queue limit.
const STEPS: usize = 60;
const LENGTH: u16 = 2000;

#[derive(Arbitrary, Debug)]
struct Input {
    isn: u32,
    steps: Vec<Step>,
    /// The SVM's stream differs here.
    wrong: Option<u16>,
}

#[derive(Arbitrary, Debug)]
struct Step {
    secondary: bool,
    from: u16,
    length: u8,
    /// In IP fragments of so many times 8 bytes.
    units: Option<u8>,
}

struct World {
    compare: Compare,
    isn: u32,
    wrong: Option<u16>,
    /// The fragments of a datagram that the client has got.
    first: Vec<u8>,
    payload: Vec<u8>,
    /// Which positions the client has seen.
    seen: Vec<bool>,
    diverged: bool,
}

fuzz_target!(|input: Input| {
    let wrong = input.wrong.filter(|wrong| *wrong < LENGTH);
    let limits = Limits {
        hold_ns: u64::MAX,
        held_bytes: 1 << 20,
        flows: 2,
        pending_bytes: 1 << 16,
    };
    let mut world = World {
        compare: Compare::new(limits),
        isn: input.isn,
        wrong,
        first: Vec::new(),
        payload: Vec::new(),
        seen: vec![false; usize::from(LENGTH)],
        diverged: false,
    };
    world.greet();
    for step in input.steps.iter().take(STEPS) {
        let from = step.from % LENGTH;
        let to = (from + u16::from(step.length)).min(LENGTH);
        world.say(step.secondary, from, to, step.units);
    }
    for secondary in [false, true] {
        (0..LENGTH)
            .step_by(500)
            .for_each(|from| world.say(secondary, from, from + 500, None));
    }
    world.judge();
});

impl World {
    fn greet(&mut self) {
        let isn = self.isn;
        let syn = |seq| frame(flag::SYN | flag::ACK, seq, &[]);
        self.compare.primary(0, syn(isn), 0);
        self.compare.secondary(0, 1, &syn(isn), 0);
        assert!(self.compare.pop_release().is_some(), "the SYN-ACKs are the same");
    }

    fn say(&mut self, secondary: bool, from: u16, to: u16, units: Option<u8>) {
        let wrong = self.wrong.filter(|_| secondary);
        let byte = |position: u16| {
            position.wrapping_mul(0x9e37).to_be_bytes()[0] ^ u8::from(wrong == Some(position))
        };
        let payload: Vec<u8> = (from..to).map(byte).collect();
        let frame = frame(flag::ACK, self.isn.wrapping_add(1 + u32::from(from)), &payload);
        for frame in cut(frame, units) {
            if secondary {
                self.compare.secondary(0, 1, &frame, 0);
            } else {
                self.compare.primary(0, frame, 0);
            }
            self.look();
        }
    }

    fn look(&mut self) {
        while let Some((_, frame)) = self.compare.pop_release() {
            let Some(frame) = self.whole(frame.bytes) else {
                continue;
            };
            let Item::Tcp(tcp) = classify(&frame, Direction::Outgoing) else {
                panic!("not what was sent");
            };
            let start = tcp.seq.wrapping_sub(self.isn.wrapping_add(1)) as usize;
            self.seen[start..start + tcp.payload.len()].fill(true);
        }
        while let Some(event) = self.compare.pop_event() {
            assert!(!matches!(event, Event::QueueLimit { .. }), "within all limits");
            self.diverged |= matches!(event, Event::Divergence { .. });
        }
    }

    /// Fragments leave as they came: in order.
    fn whole(&mut self, frame: Vec<u8>) -> Option<Vec<u8>> {
        let Item::Fragment(piece) = classify(&frame, Direction::Outgoing) else {
            return Some(frame);
        };
        assert_eq!(piece.start, self.payload.len(), "a fragment at another place");
        self.payload.extend(&frame[piece.at..piece.at + piece.len]);
        if piece.start == 0 {
            self.first = frame;
        }
        if piece.more {
            return None;
        }
        let made = put_together(&self.first, &self.payload);
        self.payload.clear();
        assert!(made.is_some(), "fragments of nothing");
        made
    }

    fn judge(&self) {
        match self.wrong {
            None => {
                assert!(!self.diverged, "the same was found different");
                assert!(self.seen.iter().all(|seen| *seen), "something was kept back");
                assert_eq!(self.compare.stats().held_frames, 0, "a repetition was kept back");
            }
            Some(wrong) => {
                assert!(self.diverged, "a difference was not found");
                assert!(
                    !self.seen[usize::from(wrong)],
                    "what only one machine said went out"
                );
            }
        }
    }
}

/// A segment in fragments of so many units of 8 bytes.
fn cut(frame: Vec<u8>, units: Option<u8>) -> Vec<Vec<u8>> {
    let Some(units) = units.map(|units| usize::from(units % 32) + 1) else {
        return vec![frame];
    };
    let datagram = &frame[34..];
    if datagram.len() <= units * 8 {
        return vec![frame];
    }
    let pieces = datagram.chunks(units * 8).enumerate();
    pieces
        .map(|(index, piece)| {
            let offset = index * units;
            let more = offset * 8 + piece.len() < datagram.len();
            build::fragment(route(), 6, 1, offset as u16, more, piece)
        })
        .collect()
}

fn route() -> Route {
    Route::new(([10, 0, 0, 2], 80).into(), ([10, 0, 0, 9], 4312).into())
}

fn frame(flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    build::tcp(
        route(),
        &Segment {
            seq,
            ack: 7,
            flags,
            window: 500,
            options: &[],
            payload,
        },
    )
}
