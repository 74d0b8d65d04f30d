//! Translation under any frames: what goes out and comes back meets the guest unchanged, checksums stay as right as
//! they were, connections are bounded.
#![no_main]

use colo_compare::Translator;
use colo_fuzz::{Frame, number};
use colo_packet::checksum::Sum;
use colo_packet::{Direction, Item, classify, segment};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 4;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// The PVM's number for the connection of this frame of the guest.
    Learn(Frame<'a>, i16),
    Outgoing(Frame<'a>),
    Incoming(Frame<'a>),
    Reset,
    Wait(u16),
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let (mut translator, mut now) = (Translator::new(MOST), 1_u64);
    for step in steps.iter().take(200) {
        now += 1_000_000;
        match step {
            Step::Learn(frame, isn) => {
                if let Item::Tcp(tcp) = classify(&frame.bytes(), Direction::Outgoing) {
                    translator.learn(0, tcp.flow, number(*isn));
                }
            }
            Step::Outgoing(frame) => {
                check(frame.bytes(), Direction::Outgoing, |frame| {
                    translator.outgoing(0, frame, now)
                });
            }
            Step::Incoming(frame) => {
                check(frame.bytes(), Direction::Incoming, |frame| {
                    translator.incoming(0, frame, now)
                });
            }
            Step::Reset => translator.reset(),
            Step::Wait(seconds) => now += u64::from(*seconds) * 1_000_000_000,
        }
        assert!(translator.connections() <= MOST);
    }
});

/// Only the numbers of one direction and their checksum may change.
fn check(before: Vec<u8>, direction: Direction, translate: impl FnOnce(&mut [u8])) {
    let mut after = before.clone();
    translate(&mut after);
    assert_eq!(sum(&before), sum(&after), "the checksum was mended wrongly");
    let (Some(old), Some(new)) = (segment(&before, direction), segment(&after, direction)) else {
        assert_eq!(before, after, "no segment, but changed");
        return;
    };
    assert_eq!(
        (old.flow, old.flags, old.window, old.payload),
        (new.flow, new.flags, new.window, new.payload)
    );
    let delta = match direction {
        Direction::Outgoing => {
            assert_eq!((old.ack, old.options), (new.ack, new.options));
            return;
        }
        Direction::Incoming => new.ack.wrapping_sub(old.ack),
    };
    assert_eq!(old.seq, new.seq);
    let moved = old
        .sack_blocks()
        .map(|(left, right)| (left.wrapping_add(delta), right.wrapping_add(delta)));
    assert!(
        new.sack_blocks().eq(moved),
        "SACK blocks moved by another number than the acknowledgement"
    );
}

/// Of a frame with its checksums: the same before and after.
fn sum(frame: &[u8]) -> u16 {
    match Sum::default().over(frame).finish() {
        0xffff => 0,
        sum => sum,
    }
}
