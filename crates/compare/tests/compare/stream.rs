//! Bytes of a connection.

use colo_compare::Difference;
use colo_packet::flag;

use crate::world::{ISN, World, at, data, fin, pure_ack, segment, tcp};

#[test]
fn data_goes_when_the_secondary_has_sent_the_same() {
    let mut world = World::connected();
    world.p(data(0, 100, b"hello"));
    assert!(world.released().is_empty());
    world.s(&data(0, 100, b"hello"));
    assert_eq!(world.payloads(), [b"hello"]);
}

#[test]
fn data_goes_at_once_when_the_secondary_is_ahead() {
    let mut world = World::connected();
    world.s(&data(0, 100, b"hello"));
    world.p(data(0, 100, b"hello"));
    assert_eq!(world.payloads(), [b"hello"]);
    assert_eq!(world.compare.stats().held_frames, 0);
}

#[test]
fn a_segment_waits_for_its_last_byte_whatever_the_secondary_s_segments() {
    let mut world = World::connected();
    world.p(data(0, 100, b"abcdef"));
    world.s(&data(0, 100, b"abc"));
    world.s(&data(3, 100, b"de"));
    assert!(world.released().is_empty());
    world.s(&data(5, 100, b"fgh"));
    assert_eq!(world.payloads(), [b"abcdef"]);
    world.p(data(6, 100, b"gh"));
    assert_eq!(world.payloads(), [b"gh"]);
}

#[test]
fn a_differing_byte_is_told_with_its_offset_and_held() {
    let mut world = World::connected();
    world.p(data(0, 100, b"same"));
    world.p(data(4, 100, b"date 1"));
    world.s(&data(0, 100, b"samedate 2"));
    assert_eq!(world.payloads(), [b"same"]);
    let (kind, detail) = world.divergence();
    assert_eq!(
        (kind, detail.as_str()),
        (Difference::Stream, "offset 9: primary 31, secondary 32")
    );
    world.p(data(10, 100, b"later"));
    world.s(&data(10, 100, b"later"));
    assert!(world.released().is_empty());
    assert_eq!(world.event(), None, "told once per epoch");
}

#[test]
fn a_retransmission_of_what_has_gone_goes() {
    let mut world = World::connected();
    world.p(data(0, 100, b"hello"));
    world.s(&data(0, 100, b"hello"));
    world.released();
    world.p(data(0, 100, b"hello"));
    assert_eq!(world.payloads(), [b"hello"]);
}

#[test]
fn a_retransmission_of_what_waits_must_be_the_same() {
    let mut world = World::connected();
    world.p(data(0, 100, b"first"));
    world.p(data(2, 100, b"RST"));
    assert_eq!(world.divergence().0, Difference::Stream);
    world.s(&data(0, 100, b"first"));
    assert!(world.released().is_empty());
}

#[test]
fn the_secondary_s_segments_may_come_out_of_order() {
    let mut world = World::connected();
    world.p(data(0, 100, b"abcdef"));
    world.s(&data(3, 100, b"def"));
    world.s(&data(0, 100, b"abc"));
    assert_eq!(world.payloads(), [b"abcdef"]);
}

#[test]
fn a_fin_goes_when_both_end_at_the_same_place() {
    let mut world = World::connected();
    world.p(fin(0, b"bye"));
    world.s(&data(0, 100, b"bye"));
    assert!(world.released().is_empty());
    world.s(&fin(3, b""));
    assert_eq!(world.payloads(), [b"bye"]);
    world.p(fin(0, b"bye"));
    assert_eq!(world.payloads(), [b"bye"], "again");
    world.p(pure_ack(4, 100));
    assert_eq!(world.released().len(), 1);
}

#[test]
fn ends_at_different_places_are_different_at_once() {
    for (primary, secondary) in [
        (fin(0, b"ab"), fin(0, b"abc")),
        (fin(0, b"ab"), data(0, 100, b"abc")),
    ] {
        let mut world = World::connected();
        world.p(primary.clone());
        world.s(&secondary);
        assert_eq!(world.divergence().0, Difference::End);
        let mut world = World::connected();
        world.s(&secondary);
        world.p(primary);
        assert_eq!(world.divergence().0, Difference::End);
        assert!(world.released().is_empty());
    }
}

#[test]
fn data_after_the_secondary_s_end_is_different() {
    let mut world = World::connected();
    world.s(&fin(0, b"ab"));
    world.p(data(0, 100, b"ab"));
    assert_eq!(world.payloads(), [b"ab"]);
    world.p(data(2, 100, b"c"));
    assert_eq!(world.divergence().0, Difference::End);
    assert!(world.released().is_empty());
}

#[test]
fn a_reset_waits_for_the_secondary_s_and_for_what_came_before() {
    let mut world = World::connected();
    world.p(data(0, 100, b"x"));
    world.p(segment(flag::RST, at(1), 100, &[]));
    world.s(&segment(flag::RST, at(0), 100, &[]));
    assert!(world.released().is_empty());
    world.s(&data(0, 100, b"x"));
    let flags: Vec<u8> = world
        .released()
        .iter()
        .map(|frame| tcp(frame).flags & flag::RST)
        .collect();
    assert_eq!(flags, [0, flag::RST]);
}

#[test]
fn a_reset_of_an_unknown_connection_needs_no_position() {
    let mut world = World::new(crate::world::limits());
    world.p(segment(flag::RST, 0, 77, &[]));
    assert!(world.released().is_empty());
    world.s(&segment(flag::RST, 0, 77, &[]));
    assert_eq!(world.acks(), [77]);
}

#[test]
fn a_connection_first_seen_in_mid_stream_starts_where_the_primary_does() {
    for secondary_first in [false, true] {
        let mut world = World::new(crate::world::limits());
        if secondary_first {
            world.s(&data(7, 100, b"hijkl"));
        }
        world.p(data(10, 100, b"kl"));
        if !secondary_first {
            world.s(&data(7, 100, b"hijkl"));
        }
        assert_eq!(world.payloads(), [b"kl"], "secondary first: {secondary_first}");
    }
}

#[test]
fn bytes_from_before_a_connection_was_known_never_agree() {
    let mut world = World::new(crate::world::limits());
    world.p(data(10, 100, b"kl"));
    world.s(&data(10, 100, b"kl"));
    assert_eq!(world.payloads(), [b"kl"]);
    world.p(data(8, 100, b"ij"));
    world.s(&data(8, 100, b"ij"));
    assert!(world.released().is_empty());
}

#[test]
fn mid_stream_the_lowest_position_counts_until_the_primary_is_seen() {
    let mut world = World::new(crate::world::limits());
    world.s(&data(4, 100, b"ef"));
    world.s(&data(0, 100, b"abcd"));
    world.p(data(0, 100, b"abcdef"));
    assert_eq!(world.payloads(), [b"abcdef"]);
}

#[test]
fn a_primary_behind_an_early_secondary_waits_for_what_is_missing() {
    let mut world = World::new(crate::world::limits());
    world.s(&data(4, 100, b"ef"));
    world.p(data(0, 100, b"abcdef"));
    assert!(world.released().is_empty());
    world.s(&data(0, 100, b"abcd"));
    assert_eq!(world.payloads(), [b"abcdef"]);
}

#[test]
fn a_segment_that_means_nothing_is_never_agreed() {
    let mut world = World::new(crate::world::limits());
    let odd = colo_packet::build::tcp(
        crate::world::route(),
        &colo_packet::build::Segment {
            seq: ISN,
            ..Default::default()
        },
    );
    world.p(odd.clone());
    world.s(&odd);
    assert!(world.released().is_empty());
}
