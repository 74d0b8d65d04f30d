//! Frames of a network card with offloads: up to 64 KiB, their checksums still to be completed.

use colo_compare::{Compare, Limits};
use colo_packet::build::{self, Segment};
use colo_packet::{Frame, Offload, flag};

use crate::world::{HOLD, MS, World, at, limits, offloaded, route, syn_ack};

/// A connection on which nothing moves for so long rests.
const REST: u64 = MS;
const HEADERS: usize = 54;
const CHECKSUM: std::ops::Range<usize> = 50..52;
/// The sum of the pseudo header is left to whoever reads it: here it is any two bytes.
const PARTIAL: [u8; 2] = [0x12, 0x34];
/// Of virtio: complete the checksum, cut into segments of 1448 bytes.
const HEADER: [u8; Offload::LEN] = [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0];

fn segment(offset: u32, ack: u32, length: usize) -> Vec<u8> {
    let mut frame = build::tcp(
        route(),
        &Segment {
            seq: at(offset),
            ack,
            flags: flag::ACK,
            window: 500,
            payload: &vec![0x5a; length],
            ..Segment::default()
        },
    );
    frame[CHECKSUM].copy_from_slice(&PARTIAL);
    frame
}

fn with_offload(frame: &[u8]) -> Frame {
    offloaded(HEADER, frame)
}

#[test]
fn segments_of_64_kib_agree_whatever_stands_in_their_checksums_and_keep_what_their_card_has_to_do() {
    let mut compare = Compare::new(Limits {
        pending_bytes: 1 << 20,
        ..limits()
    });
    compare.primary(0, syn_ack(at(0).wrapping_sub(1), 100), 0);
    compare.secondary(0, 1, &syn_ack(at(0).wrapping_sub(1), 100), 0);
    assert!(compare.pop_release().is_some());
    let longest = 0xffff - 20 - 20;
    let sent = with_offload(&segment(0, 300, longest));
    compare.primary(0, sent.clone(), 0);
    for (offset, length) in [(0, 40_000), (40_000, longest - 40_000)] {
        let mut frame = segment(offset as u32, 200, length);
        frame[CHECKSUM].fill(0xee);
        compare.secondary(0, 1, &frame, 0);
    }
    let (_, mut released) = compare.pop_release().unwrap();
    assert_eq!(released.offload, sent.offload);
    released.restore_checksum();
    assert_eq!(released.bytes, segment(0, 200, longest));
    assert_eq!(released.len(), HEADERS + longest);
    assert_eq!(compare.pop_event().into_iter().count(), 1, "the ISN");
}

#[test]
fn what_is_owed_after_a_segment_with_an_unfinished_checksum_has_a_whole_one() {
    let mut compare = Compare::new(limits());
    compare.primary(0, syn_ack(at(0).wrapping_sub(1), 100), 0);
    compare.secondary(0, 1, &syn_ack(at(0).wrapping_sub(1), 100), 0);
    compare.primary(0, with_offload(&segment(0, 300, 2000)), 0);
    compare.secondary(0, 1, &segment(0, 200, 2000), 0);
    while compare.pop_release().is_some() {}
    compare.secondary(0, 1, &crate::world::pure_ack(2000, 300), 0);
    let (_, made) = compare.pop_release().unwrap();
    assert_eq!(made, crate::world::pure_ack(2000, 300).into());
}

/// A long segment of the PVM, of which the SVM has said `said`.
fn half_agreed(said: usize) -> World {
    let mut world = World::connected();
    world
        .compare
        .primary(0, with_offload(&segment(0, 100, 10_000)), world.now);
    world.s(&segment(0, 100, said));
    assert!(world.released().is_empty());
    world
}

#[test]
fn what_both_have_said_of_a_long_segment_goes_when_neither_goes_on() {
    let mut world = half_agreed(5000);
    world.after(REST - 1);
    assert!(world.released().is_empty());
    world.after(1);
    assert_eq!(world.payloads(), [vec![0x5a; 3 * 1448]]);
    assert_eq!(world.compare.stats().divided, 1);
    world.s(&segment(5000, 100, 5000));
    assert_eq!(world.payloads(), [vec![0x5a; 10_000 - 3 * 1448]]);
    let stats = world.compare.stats();
    assert_eq!((stats.held_frames, stats.held_bytes), (0, 0));
    assert_eq!(world.event(), None);
}

#[test]
fn while_the_secondary_goes_on_a_long_segment_stays_whole() {
    let mut world = half_agreed(2000);
    for said in 2..5 {
        world.after(REST - 1);
        world.s(&segment(said * 1000, 100, 1000));
    }
    assert!(world.released().is_empty());
    world.after(REST - 1);
    world.s(&segment(5000, 100, 5000));
    assert_eq!(world.payloads(), [vec![0x5a; 10_000]]);
    world.after(REST);
    assert_eq!(world.compare.stats().divided, 0);
}

#[test]
fn less_than_what_a_segment_is_cut_into_does_not_go_alone() {
    let mut world = half_agreed(1447);
    world.after(10 * REST);
    assert!(world.released().is_empty());
}

#[test]
fn what_follows_a_front_that_went_is_compared_as_ever() {
    let mut world = half_agreed(5000);
    world.after(REST);
    assert_eq!(world.released().len(), 1);
    let mut other = segment(5000, 100, 5000);
    *other.last_mut().unwrap() ^= 1;
    world.s(&other);
    world.divergence();
    world.after(HOLD);
    assert_eq!(world.payloads(), [vec![0x5a; 3 * 1448]], "both have said that");
    world.cut(1);
    world.after(10 * REST);
    assert!(world.released().is_empty());
    world.commit(1);
    assert_eq!(world.payloads(), [vec![0x5a; 10_000 - 6 * 1448]]);
}

#[test]
fn of_a_segment_of_an_epoch_that_is_over_no_front_goes_by_the_word_of_the_next() {
    let mut world = half_agreed(5000);
    world.cut(1);
    world.load(1);
    world.s(&segment(0, 100, 7000));
    world.after(10 * REST);
    assert!(world.released().is_empty());
}
