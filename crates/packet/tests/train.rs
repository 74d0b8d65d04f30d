//! Trains: cut again as the kernel does it, they give the frames that were joined, checksums and all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_packet::build::{self, Segment};
use colo_packet::{Frame, Offload, Train, flag};
use common::cutting::{CUT, LINK, Sent, cut, joined, run};
use common::v4;
use proptest::prelude::*;

fn count(sent: &[Sent]) -> usize {
    let frames: Vec<_> = sent.iter().map(Sent::frame).collect();
    joined(&frames).0
}

fn arbitrary_change(sent: &mut Sent, kind: u8, by: u16) {
    match kind {
        0 => sent.seq = sent.seq.wrapping_add(by.into()),
        1 => sent.ack = sent.ack.wrapping_add(by.into()),
        2 => sent.window = sent.window.wrapping_add(by),
        3 => sent.flags ^= by as u8 & 0x3f,
        4 => sent.id = sent.id.wrapping_add(by),
        5 => sent.stamped = by.is_multiple_of(2),
        6 => sent.v6 ^= by.is_multiple_of(2),
        _ => {}
    }
}

proptest! {
    #[test]
    fn what_is_joined_is_cut_to_the_same_frames_again(
        v6 in any::<bool>(),
        sizes in prop::collection::vec(prop_oneof![4 => Just(CUT), 1 => 0..2 * CUT], 1..80),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..9_u8, any::<u16>()), 0..3),
    ) {
        let mut sent = run(v6, &sizes);
        for (at, kind, by) in changes {
            arbitrary_change(at.get_mut(&mut sent), kind, by);
        }
        let frames: Vec<_> = sent.iter().map(Sent::frame).collect();
        let (count, written) = joined(&frames);
        if count > 1 {
            let frames: Vec<_> = frames[..count].iter().map(|frame| frame.bytes.clone()).collect();
            prop_assert!(written.len() <= Offload::LEN + LINK + 65_535);
            prop_assert_eq!(cut(written), frames);
        }
    }

    #[test]
    fn arbitrary_frames_are_joined_or_not_and_never_a_panic(
        v6 in any::<bool>(),
        flips in prop::collection::vec((0..120_usize, any::<u8>()), 0..4),
        lengths in (0..1200_usize, 0..1200_usize),
    ) {
        let mut frames: Vec<_> = run(v6, &[CUT, CUT]).iter().map(Sent::frame).collect();
        for (frame, length) in frames.iter_mut().zip([lengths.0, lengths.1]) {
            for (at, value) in &flips {
                frame.bytes[*at] = *value;
            }
            frame.bytes.truncate(length);
        }
        let (count, written) = joined(&frames);
        prop_assert!(count <= 2 && written.len() <= 2 * 1200 + Offload::LEN);
    }
}

#[test]
fn a_whole_run_goes_as_one_up_to_the_longest_packet() {
    for v6 in [false, true] {
        assert_eq!(count(&run(v6, &[CUT; 10])), 10);
        assert_eq!(count(&run(v6, &[CUT; 90])), 65);
    }
}

#[test]
fn a_short_one_and_one_that_pushes_are_the_last() {
    assert_eq!(count(&run(false, &[CUT, CUT, 10, 10])), 3);
    assert_eq!(count(&run(false, &[CUT, CUT + 1])), 1);
    let mut pushes = run(false, &[CUT; 4]);
    pushes[2].flags |= flag::PSH;
    assert_eq!(count(&pushes), 3);
    assert_eq!(count(&pushes[2..]), 0);
}

#[test]
fn what_a_reader_could_tell_apart_is_not_joined() {
    let changes: [fn(&mut Sent); 8] = [
        |sent| sent.seq += 1,
        |sent| sent.ack += 1,
        |sent| sent.window += 1,
        |sent| sent.id += 1,
        |sent| sent.stamped = false,
        |sent| sent.flags |= flag::FIN,
        |sent| sent.flags |= 0x80,
        |sent| sent.payload.clear(),
    ];
    for change in changes {
        let mut sent = run(false, &[CUT; 3]);
        change(&mut sent[1]);
        assert_eq!(count(&sent), 1);
    }
}

#[test]
fn frames_of_a_vlan_with_padding_or_with_offloads_go_alone() {
    let sent = run(false, &[CUT, CUT]);
    let mut padded = sent[0].frame();
    padded.bytes.push(0);
    assert!(Train::of(&padded).is_none());
    let segment = Segment {
        flags: flag::ACK,
        payload: &[1; CUT],
        ..Segment::default()
    };
    assert!(Train::of(&build::tcp(v4().vlan(5), &segment).into()).is_none());
    let header = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0];
    let mut bytes = [&header[..], &sent[0].frame().bytes].concat();
    let (offload, _) = Offload::split(&mut bytes).unwrap();
    let frame = Frame {
        offload,
        ..sent[0].frame()
    };
    assert!(Train::of(&frame).is_none());
}
