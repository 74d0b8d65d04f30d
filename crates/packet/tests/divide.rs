//! Segments that are divided: both parts, cut as the kernel does it, give the frames that the whole one gives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_packet::{Frame, Offload, divide, flag};
use common::cutting::{CUT, Sent, cut, joined, run};
use proptest::prelude::*;

const HEADER_LENGTH: std::ops::Range<usize> = 2..4;
const TCP_FLAGS: usize = 14 + 20 + 13;

/// As a tap gives it: what the header counts as headers can be more than these.
fn read(mut written: Vec<u8>, counted: usize) -> Frame {
    let counted = (counted as u16).min((written.len() - Offload::LEN) as u16);
    written[HEADER_LENGTH].copy_from_slice(&counted.to_le_bytes());
    let (offload, frame) = Offload::split(&mut written).unwrap();
    let bytes = frame.to_vec();
    Frame { bytes, offload }
}

fn write(frame: &Frame) -> Vec<u8> {
    [&frame.offload.header()[..], frame].concat()
}

fn frames(sent: &[Sent]) -> Vec<Frame> {
    sent.iter().map(Sent::frame).collect()
}

/// Segments of `CUT` bytes, the last with `last`, as one frame.
fn long(v6: bool, count: usize, last: usize) -> (Vec<Sent>, Frame) {
    let mut sizes = vec![CUT; count];
    sizes.push(last);
    let sent = run(v6, &sizes);
    let (joined, written) = joined(&frames(&sent));
    assert_eq!(joined, sizes.len());
    (sent, read(written, 0))
}

proptest! {
    #[test]
    fn both_parts_are_cut_to_the_same_frames_and_the_front_pushes(
        v6 in any::<bool>(), count in 1..60_usize, last in 1..CUT, within in 0..62 * CUT, counted in 0..70_000_usize,
    ) {
        let (mut sent, whole) = long(v6, count, last);
        let mut rest = read(write(&whole), counted);
        let before = rest.clone();
        let taken = within / CUT;
        let Some(front) = divide(&mut rest, within) else {
            prop_assert!(taken == 0 || taken > count);
            prop_assert_eq!(rest, before);
            return Ok(());
        };
        sent[taken - 1].flags |= flag::PSH;
        let expected: Vec<_> = sent.iter().map(|sent| sent.frame().bytes).collect();
        prop_assert!(Offload::split(&mut write(&front)).is_some() && Offload::split(&mut write(&rest)).is_some());
        prop_assert_eq!([cut(write(&front)), cut(write(&rest))].concat(), expected);
    }

    #[test]
    fn arbitrary_frames_are_divided_or_not_and_never_a_panic(
        flips in prop::collection::vec((0..120_usize, any::<u8>()), 0..4), length in 60..3000_usize, within in 0..3000_usize,
    ) {
        let mut bytes = write(&long(false, 2, 500).1);
        for (at, value) in flips {
            bytes[at] = value;
        }
        bytes.truncate(length);
        if let Some((offload, frame)) = Offload::split(&mut bytes) {
            let mut rest = Frame { bytes: frame.to_vec(), offload };
            let whole = rest.len();
            if let Some(front) = divide(&mut rest, within) {
                prop_assert!(front.len() < whole && rest.len() < whole);
            }
        }
    }
}

#[test]
fn what_does_not_only_carry_data_stays_whole() {
    for other in [flag::SYN, flag::RST, flag::URG, 0x80] {
        let mut whole = long(false, 3, 10).1;
        whole.bytes[TCP_FLAGS] |= other;
        assert_eq!(divide(&mut whole, 2 * CUT), None);
    }
    let mut ends = long(false, 3, 10).1;
    ends.bytes[TCP_FLAGS] |= flag::FIN;
    let front = divide(&mut ends, 2 * CUT).unwrap();
    assert_eq!(front.bytes[TCP_FLAGS], flag::ACK | flag::PSH);
    assert_eq!(ends.bytes[TCP_FLAGS], flag::ACK | flag::FIN);
}

#[test]
fn what_nobody_is_going_to_cut_stays_whole() {
    let mut whole = run(false, &[3 * CUT])[0].frame();
    assert_eq!(divide(&mut whole, CUT), None);
}
