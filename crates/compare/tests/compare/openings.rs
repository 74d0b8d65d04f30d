//! Connections that the guest opens itself.

use colo_compare::{Difference, Event};
use colo_packet::build::{self, Segment};
use colo_packet::flag;

use crate::world::{HOLD, ISN, MS, MSS, World, at, limits, route, segment, with_options};

const OTHER: u32 = 0x1234_5678;
const REORDER: u64 = 2 * MS;

fn syn(port: u16, seq: u32) -> Vec<u8> {
    let mut route = route();
    route.source.set_port(port);
    let segment = Segment {
        seq,
        flags: flag::SYN,
        window: 500,
        options: &MSS,
        ..Segment::default()
    };
    build::tcp(route, &segment)
}

fn no_more_than_numbers(world: &mut World) -> bool {
    std::iter::from_fn(|| world.event()).all(|event| matches!(event, Event::Isn { .. }))
}

#[test]
fn other_source_ports_are_a_difference_of_their_own() {
    for secondary_first in [false, true] {
        let mut world = World::new(limits());
        if secondary_first {
            world.s(&syn(4002, OTHER));
        }
        world.p(syn(4001, ISN));
        if !secondary_first {
            world.s(&syn(4002, OTHER));
        }
        assert!(no_more_than_numbers(&mut world));
        assert_eq!(world.compare.next_deadline(), Some(world.now + REORDER));
        world.after(REORDER - 1);
        assert!(no_more_than_numbers(&mut world));
        world.after(1);
        let (kind, detail) = world.divergence();
        assert_eq!(kind, Difference::Ports);
        assert_eq!(
            detail,
            "the primary opens it from port 4001, the secondary from port 4002"
        );
        assert!(world.released().is_empty());
        world.cut(1);
        world.commit(1);
        assert_eq!(world.released(), [syn(4001, ISN)]);
        assert_eq!(world.compare.next_deadline(), None);
    }
}

#[test]
fn openings_in_another_order_are_no_difference() {
    let mut world = World::new(limits());
    world.p(syn(4001, 1));
    world.p(syn(4002, 2));
    world.s(&syn(4002, OTHER));
    world.after(MS);
    world.s(&syn(4001, OTHER));
    assert_eq!(world.released().len(), 2);
    world.after(HOLD);
    assert!(no_more_than_numbers(&mut world));
    assert_eq!(world.compare.next_deadline(), None);
}

#[test]
fn another_peer_is_another_connection() {
    let mut world = World::new(limits());
    world.p(syn(4001, ISN));
    let mut route = route();
    route.source.set_port(4002);
    route.destination.set_port(9);
    let elsewhere = Segment {
        flags: flag::SYN,
        ..Segment::default()
    };
    world.s(&build::tcp(route, &elsewhere));
    world.after(REORDER);
    assert!(no_more_than_numbers(&mut world));
}

#[test]
fn one_that_comes_later_has_its_own_time() {
    let mut world = World::new(limits());
    world.p(syn(4001, 1));
    world.s(&syn(4002, OTHER));
    world.after(MS);
    world.s(&syn(4001, OTHER));
    world.p(syn(4003, 3));
    world.after(MS);
    assert!(no_more_than_numbers(&mut world), "4003 is one millisecond old");
    world.after(MS);
    assert_eq!(world.divergence().0, Difference::Ports);
}

#[test]
fn with_simultaneous_open_the_syn_ack_waits_for_the_secondary_s() {
    let syn_ack = |isn| with_options(flag::SYN | flag::ACK, isn, 700, &[], &MSS);
    for secondary_first in [false, true] {
        let mut world = World::new(limits());
        world.p(with_options(flag::SYN, ISN, 0, &[], &MSS));
        world.s(&with_options(flag::SYN, OTHER, 0, &[], &MSS));
        assert_eq!(world.released().len(), 1);
        if secondary_first {
            world.s(&syn_ack(OTHER));
        }
        world.p(syn_ack(ISN));
        if !secondary_first {
            assert!(world.released().is_empty());
            world.s(&syn_ack(ISN));
        }
        assert_eq!(world.released(), [syn_ack(ISN)]);
        world.p(segment(0, at(0), 700, b"x"));
        world.s(&segment(0, at(0), 700, b"x"));
        assert_eq!(world.released().len(), 1);
        assert!(no_more_than_numbers(&mut world));
    }
}
