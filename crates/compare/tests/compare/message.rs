//! Datagrams, echoes, and frames that nobody knows.

use colo_compare::{Difference, Event};
use colo_packet::build;

use crate::world::{HOLD, MS, World, limits, route};

fn udp(payload: &[u8]) -> Vec<u8> {
    build::udp(route(), payload)
}

fn world() -> World {
    World::new(limits())
}

#[test]
fn a_datagram_goes_when_the_secondary_has_sent_it() {
    for secondary_first in [false, true] {
        let mut world = world();
        if secondary_first {
            world.s(&udp(b"a"));
        }
        world.p(udp(b"a"));
        if !secondary_first {
            assert!(world.released().is_empty());
            world.s(&udp(b"a"));
        }
        assert_eq!(world.released(), [udp(b"a")]);
    }
}

#[test]
fn one_answer_explains_one_datagram() {
    let mut world = world();
    world.s(&udp(b"a"));
    world.p(udp(b"a"));
    world.p(udp(b"a"));
    assert_eq!(world.released().len(), 1);
}

#[test]
fn the_secondary_s_order_does_not_matter_the_primary_s_is_kept() {
    let mut world = world();
    world.p(udp(b"a"));
    world.p(udp(b"b"));
    world.s(&udp(b"b"));
    assert!(world.released().is_empty());
    world.s(&udp(b"a"));
    assert_eq!(world.released(), [udp(b"a"), udp(b"b")]);
    world.after(10 * MS);
    assert_eq!(world.event(), None);
}

#[test]
fn unmatched_on_both_sides_for_two_milliseconds_is_a_difference() {
    let mut world = world();
    world.p(udp(b"time 1"));
    world.s(&udp(b"time 2"));
    assert_eq!(world.compare.next_deadline(), Some(world.now + 2 * MS));
    world.after(MS);
    assert_eq!(world.event(), None);
    world.after(MS);
    let (kind, detail) = world.divergence();
    assert_eq!(kind, Difference::Message);
    assert!(detail.contains("offset 5: primary 31, secondary 32"), "{detail}");
    world.after(HOLD);
    assert_eq!(world.event(), None, "told once per epoch");
}

#[test]
fn flows_do_not_answer_for_each_other() {
    let mut other = route();
    other.destination.set_port(9);
    let mut world = world();
    world.p(udp(b"a"));
    world.s(&build::udp(other, b"a"));
    assert!(world.released().is_empty());
}

#[test]
fn a_datagram_alone_meets_the_hold_limit() {
    let mut world = world();
    world.p(udp(b"a"));
    assert_eq!(world.compare.next_deadline(), Some(world.now + HOLD));
    world.after(HOLD);
    assert!(matches!(
        world.event(),
        Some(Event::HoldLimit {
            nic: 0,
            waited_ns: HOLD,
            ..
        })
    ));
}

#[test]
fn what_only_the_secondary_sends_is_harmless_and_bounded() {
    let mut world = world();
    for number in 0..10_000_u32 {
        world.s(&udp(&number.to_be_bytes()));
    }
    world.after(HOLD);
    assert_eq!(world.event(), None);
    assert!(world.compare.stats().unmatched_secondary > 9000);
    world.p(udp(&9_999_u32.to_be_bytes()));
    assert_eq!(world.released().len(), 1, "the newest are kept");
}

#[test]
fn what_the_secondary_sent_in_an_old_epoch_matches_nothing_new() {
    let mut world = world();
    world.s(&udp(b"a"));
    world.p(udp(b"b"));
    world.cut(1);
    world.p(udp(b"a"));
    world.s(&udp(b"b"));
    assert_eq!(world.released(), [udp(b"b")], "the old epoch may still agree");
    world.s(&udp(b"a"));
    world.commit(1);
    assert!(world.released().is_empty());
    world.load(1);
    world.s(&udp(b"a"));
    assert_eq!(world.released(), [udp(b"a")]);
}

#[test]
fn echoes_and_unknown_frames_are_compared_whole() {
    let mut runt = vec![7; 9];
    runt[8] = 1;
    let frames = [
        build::icmp_echo(route(), true, 5, 1, b"ping"),
        build::ip(route(), 89, b"routing"),
        runt,
    ];
    for frame in frames {
        let mut world = world();
        world.p(frame.clone());
        assert!(world.released().is_empty());
        world.s(&frame);
        assert_eq!(world.released(), [frame]);
    }
}

#[test]
fn link_chores_pass_uncompared() {
    let mut world = world();
    world.p(build::arp(route()));
    world.s(&build::arp(route()));
    assert_eq!(world.released().len(), 1);
    assert_eq!(world.compare.stats().released_passed, 1);
    assert_eq!(world.compare.stats().flows, 0);
}

#[test]
fn equal_datagrams_that_wait_need_an_answer_each() {
    let mut world = world();
    for payload in [b"x", b"a", b"a"] {
        world.p(udp(payload));
    }
    world.s(&udp(b"a"));
    world.s(&udp(b"a"));
    world.s(&udp(b"x"));
    assert_eq!(world.released(), [udp(b"x"), udp(b"a"), udp(b"a")]);
}
