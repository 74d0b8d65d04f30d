//! Which numbers change, and into what.

use colo_packet::build::{self, Segment};
use colo_packet::flag;
use proptest::prelude::*;

use crate::world::{NIC, SYN_ACK, World, ack, data, route, syn_ack, with};

#[test]
fn numbers_are_translated_both_ways_when_the_primary_is_first() {
    let mut world = World::open();
    world.receives(&ack(5001), &ack(1001));
    world.sends(&data(1001), &data(5001));
    world.receives(&ack(5007), &ack(1007));
}

#[test]
fn numbers_are_translated_when_the_secondary_is_first() {
    let mut world = World::new();
    world.sends(&syn_ack(1000), &syn_ack(1000));
    world.learn(5000);
    world.sends(&syn_ack(1000), &syn_ack(5000));
    world.receives(&ack(5001), &ack(1001));
}

#[test]
fn a_connection_that_the_guest_opens_is_translated() {
    let mut world = World::new();
    world.sends(&with(flag::SYN, syn_ack(9)), &with(flag::SYN, syn_ack(9)));
    world.learn(5);
    world.receives(&with(SYN_ACK, ack(6)), &with(SYN_ACK, ack(10)));
    world.sends(&data(10), &data(6));
}

#[test]
fn selective_acknowledgements_are_translated() {
    let mut world = World::open();
    let options = |edges: [u32; 4]| {
        let edges: Vec<u8> = edges.iter().flat_map(|edge| edge.to_be_bytes()).collect();
        [&[1, 1, 5, 18][..], &edges].concat()
    };
    let before = options([5010, 5020, 5030, 5040]);
    let after = options([1010, 1020, 1030, 1040]);
    world.receives(
        &Segment {
            options: &before,
            ..ack(5001)
        },
        &Segment {
            options: &after,
            ..ack(1001)
        },
    );
    // What the guest acknowledges are the client's numbers.
    world.sends(
        &Segment {
            options: &before,
            ..data(1001)
        },
        &Segment {
            options: &before,
            ..data(5001)
        },
    );
}

#[test]
fn translation_wraps_around_zero() {
    let mut world = World::new();
    world.learn(3);
    world.sends(&syn_ack(u32::MAX - 1), &syn_ack(3));
    world.sends(&data(u32::MAX), &data(4));
    world.sends(&data(5), &data(10));
    world.receives(&ack(4), &ack(u32::MAX));
}

#[test]
fn an_acknowledgement_number_without_its_flag_is_left_alone() {
    let mut world = World::open();
    world.receives(&with(flag::SYN, ack(0)), &with(flag::SYN, ack(0)));
    world.receives(&with(flag::RST, ack(0)), &with(flag::RST, ack(0)));
}

#[test]
fn other_connections_cards_and_protocols_are_left_alone() {
    let mut world = World::open();
    let original = build::tcp(world.route, &data(1001));
    let mut frame = original.clone();
    world.translator.outgoing(NIC + 1, &mut frame, world.now);
    assert_eq!(frame, original, "another card");

    let original = build::udp(world.route, b"1001");
    let mut frame = original.clone();
    world.translator.outgoing(NIC, &mut frame, world.now);
    world.translator.incoming(NIC, &mut frame, world.now);
    assert_eq!(frame, original, "UDP on the same ports");

    world.route = route(4313);
    world.sends(&data(1001), &data(1001));
}

#[test]
fn a_loaded_checkpoint_ends_all_translation() {
    let mut world = World::open();
    world.translator.reset();
    world.sends(&data(5001), &data(5001));
    world.receives(&ack(5007), &ack(5007));
    assert_eq!(world.translator.connections(), 0);
}

#[test]
fn repeated_syns_and_repeated_isns_change_nothing() {
    let mut world = World::open();
    world.learn(5000);
    world.sends(&syn_ack(1000), &syn_ack(5000));
    world.sends(&data(1001), &data(5001));
}

#[test]
fn a_new_connection_on_the_same_ports_gets_its_own_numbers() {
    let mut world = World::open();
    world.learn(9000);
    world.sends(&syn_ack(2000), &syn_ack(9000));
    world.receives(&ack(9001), &ack(2001));

    let mut world = World::open();
    world.sends(&syn_ack(2000), &syn_ack(2000));
    world.learn(9000);
    world.receives(&ack(9001), &ack(2001));
}

#[test]
fn a_late_syn_of_the_connection_before_does_not_pair_with_the_new_one() {
    let mut world = World::open();
    world.learn(9000);
    world.sends(&syn_ack(1000), &syn_ack(1000));
    world.sends(&syn_ack(2000), &syn_ack(9000));
}

proptest! {
    #[test]
    fn a_client_that_answers_in_primary_numbers_is_understood(
        primary in any::<u32>(), secondary in any::<u32>(), secondary_first in any::<bool>(),
        sizes in prop::collection::vec(0_usize..3000, 1..20),
    ) {
        let mut world = World::new();
        if secondary_first {
            world.sends(&syn_ack(secondary), &syn_ack(secondary));
        }
        world.learn(primary);
        world.sends(&syn_ack(secondary), &syn_ack(primary));
        let (mut theirs, mut ours) = (primary.wrapping_add(1), secondary.wrapping_add(1));
        for size in sizes {
            let payload = vec![7; size];
            let segment = |seq| Segment { payload: &payload, ..data(seq) };
            world.sends(&segment(ours), &segment(theirs));
            (theirs, ours) = (theirs.wrapping_add(size as u32), ours.wrapping_add(size as u32));
            world.receives(&ack(theirs), &ack(ours));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut frame in prop::collection::vec(any::<u8>(), 0..120), now in any::<u64>()) {
        let mut world = World::open();
        world.translator.outgoing(NIC, &mut frame, now);
        world.translator.incoming(NIC, &mut frame, now);
    }
}
