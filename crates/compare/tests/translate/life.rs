//! How long a connection is known.

use colo_packet::build::{self, Segment};
use colo_packet::flag;

use crate::world::{NIC, SECOND, World, ack, data, flow, route, syn_ack, with};

#[test]
fn a_finished_connection_is_forgotten_after_time_wait() {
    let mut world = World::open();
    world.sends(
        &with(flag::FIN | flag::ACK, data(1001)),
        &with(flag::FIN | flag::ACK, data(5001)),
    );
    world.receives(
        &with(flag::FIN | flag::ACK, ack(5008)),
        &with(flag::FIN | flag::ACK, ack(1008)),
    );
    world.now += 59 * SECOND;
    assert!(world.translates(1008, 5008), "the last segments may be repeated");
    world.now += 75 * SECOND;
    assert!(!world.translates(1008, 5008));
    assert_eq!(world.translator.connections(), 0);
}

#[test]
fn a_half_closed_connection_is_kept() {
    let mut world = World::open();
    world.receives(
        &with(flag::FIN | flag::ACK, ack(5001)),
        &with(flag::FIN | flag::ACK, ack(1001)),
    );
    world.now += 3600 * SECOND;
    assert!(world.translates(1001, 5001));
}

#[test]
fn a_reset_of_the_guest_finishes_a_connection() {
    let mut world = World::open();
    world.sends(&with(flag::RST, data(1001)), &with(flag::RST, data(5001)));
    world.now += 75 * SECOND;
    assert!(!world.translates(1001, 5001));
}

#[test]
fn a_reset_of_the_client_counts_at_the_expected_number_only() {
    for (seq, kept) in [(78, false), (79, true)] {
        let mut world = World::open();
        world.sends(&data(1001), &data(5001));
        let reset = Segment {
            seq,
            flags: flag::RST,
            ..Segment::default()
        };
        world.receives(&reset, &reset);
        world.now += 75 * SECOND;
        assert_eq!(world.translates(1007, 5007), kept, "RST at {seq}, 78 expected");
    }
}

#[test]
fn an_idle_connection_is_kept_for_days_but_not_for_ever() {
    let mut world = World::open();
    world.now += 4 * 24 * 3600 * SECOND;
    assert!(world.translates(1001, 5001));
    world.now += 6 * 24 * 3600 * SECOND;
    assert!(!world.translates(1001, 5001));
}

#[test]
fn half_a_pair_is_forgotten_soon() {
    let mut world = World::new();
    world.learn(5000);
    world.route = route(4313);
    world.sends(&syn_ack(1000), &syn_ack(1000));
    assert_eq!(world.translator.connections(), 2);
    for _ in 0..8 {
        world.now += 20 * SECOND;
        world.receives(&ack(1001), &ack(1001));
    }
    assert_eq!(world.translator.connections(), 0);
}

#[test]
fn too_many_connections_leave_the_known_ones_translated() {
    let mut world = World::open();
    for port in 1..100 {
        world.translator.learn(NIC, flow(route(port)), 5);
        let mut frame = build::tcp(route(port), &syn_ack(9));
        world.translator.outgoing(NIC, &mut frame, world.now);
    }
    assert_eq!(world.translator.connections(), 8);
    assert!(world.translates(1001, 5001));
    world.learn(9000);
    world.sends(&syn_ack(2000), &syn_ack(9000));
}
