//! SYNs: each machine has its own sequence number.

use colo_compare::{Difference, Event};
use colo_packet::flag;

use crate::world::{ISN, MSS, World, data, limits, pure_ack, segment, syn_ack, with_options};

const OTHER: u32 = 0x1234_5678;

#[test]
fn a_syn_ack_agrees_with_another_sequence_number_before_or_after() {
    for secondary_first in [false, true] {
        let mut world = World::new(limits());
        if secondary_first {
            world.s(&syn_ack(OTHER, 100));
        }
        world.p(syn_ack(ISN, 100));
        if !secondary_first {
            assert!(world.released().is_empty());
            world.s(&syn_ack(OTHER, 100));
        }
        assert_eq!(world.released(), [syn_ack(ISN, 100)]);
        assert!(matches!(world.event(), Some(Event::Isn { isn: ISN, .. })));
        assert_eq!(world.event(), None);
    }
}

#[test]
fn the_number_is_told_before_the_secondary_has_said_anything() {
    let mut world = World::new(limits());
    world.p(syn_ack(ISN, 100));
    assert!(matches!(world.event(), Some(Event::Isn { isn: ISN, .. })));
    world.p(syn_ack(ISN, 100));
    assert_eq!(world.event(), None, "a repeated SYN is no new connection");
}

#[test]
fn a_syn_of_the_guest_s_own_agrees_too() {
    let mut world = World::new(limits());
    world.p(segment(flag::SYN, ISN, 0, &[]));
    world.s(&segment(flag::SYN, OTHER, 0, &[]));
    assert_eq!(world.released().len(), 1);
}

#[test]
fn another_acknowledgement_or_option_is_a_difference() {
    let other_mss = with_options(flag::SYN | flag::ACK, OTHER, 100, &[], &[2, 4, 5, 100]);
    for secondary in [syn_ack(OTHER, 101), other_mss] {
        let mut world = World::new(limits());
        world.p(syn_ack(ISN, 100));
        world.event();
        world.s(&secondary);
        assert_eq!(world.divergence().0, Difference::Handshake);
        assert!(world.released().is_empty());
    }
}

#[test]
fn timestamps_of_syns_may_differ() {
    let stamped = |isn, stamp: u8| {
        let options = [&MSS[..], &[1, 1, 8, 10], &[stamp; 8]].concat();
        with_options(flag::SYN | flag::ACK, isn, 100, &[], &options)
    };
    let mut world = World::new(limits());
    world.p(stamped(ISN, 1));
    world.s(&stamped(OTHER, 2));
    assert_eq!(world.released().len(), 1);
}

#[test]
fn data_in_a_syn_is_compared() {
    let syn = |isn, payload| segment(flag::SYN, isn, 0, payload);
    let mut world = World::new(limits());
    world.s(&syn(OTHER, b"fast"));
    world.p(syn(ISN, b"fast"));
    assert_eq!(world.released().len(), 1);
    let mut world = World::new(limits());
    world.p(syn(ISN, b"fast"));
    world.event();
    world.s(&syn(OTHER, b"FAST"));
    assert_eq!(world.divergence().0, Difference::Stream);
    assert!(world.released().is_empty());
}

#[test]
fn a_new_syn_replaces_the_connection() {
    let mut world = World::connected();
    world.p(pure_ack(0, 300));
    world.p(syn_ack(OTHER, 9000));
    assert!(matches!(world.event(), Some(Event::Isn { isn: OTHER, .. })));
    world.s(&syn_ack(OTHER, 9000));
    assert_eq!(world.acks(), [9000]);
    world.p(segment(0, OTHER.wrapping_add(1), 9000, b"new"));
    world.s(&segment(0, OTHER.wrapping_add(1), 9000, b"new"));
    assert_eq!(world.payloads(), [b"new"]);
}

#[test]
fn what_waits_of_a_replaced_connection_goes_with_the_commit_only() {
    let mut world = World::connected();
    world.p(data(0, 100, b"old"));
    world.p(syn_ack(OTHER, 9000));
    world.s(&data(0, 100, b"old"));
    world.s(&syn_ack(OTHER, 9000));
    assert!(world.released().is_empty());
    world.cut(1);
    world.commit(1);
    assert_eq!(world.released(), [data(0, 100, b"old"), syn_ack(OTHER, 9000)]);
}

#[test]
fn the_secondary_may_be_in_the_next_connection_already() {
    let mut world = World::connected();
    world.s(&syn_ack(OTHER, 9000));
    world.s(&data(0, 9001, b"numbers of another connection"));
    world.p(data(0, 100, b"old"));
    assert!(world.released().is_empty());
    assert_eq!(world.event(), None);
    world.p(pure_ack(3, 100));
    world.p(syn_ack(7, 9000));
    world.cut(1);
    world.commit(1);
    assert_eq!(
        world.released(),
        [data(0, 100, b"old"), syn_ack(7, 9000)],
        "the acknowledgement is needless"
    );
}

#[test]
fn acknowledgements_of_a_replaced_connection_do_not_count_for_the_new_one() {
    let mut world = World::connected();
    world.s(&pure_ack(0, 50_000));
    world.p(syn_ack(OTHER, 100));
    world.s(&syn_ack(OTHER, 100));
    assert_eq!(world.acks(), [100]);
    world.p(segment(0, OTHER.wrapping_add(1), 200, &[]));
    assert!(world.released().is_empty());
}
