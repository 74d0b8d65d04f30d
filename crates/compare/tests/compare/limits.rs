//! What happens when something is full, slow or over.

use colo_compare::{Compare, Event, Limits};
use colo_packet::build::{self, Route};
use colo_packet::flag;

use crate::world::{HOLD, MS, World, at, data, fin, limits, pure_ack, route, segment, syn_ack};

const MINUTE: u64 = 60_000 * MS;

fn small() -> Limits {
    Limits {
        pending_bytes: 10,
        ..limits()
    }
}

fn queue_limit(world: &mut World) -> bool {
    std::iter::from_fn(|| world.event()).any(|event| matches!(event, Event::QueueLimit { .. }))
}

#[test]
fn too_many_unanswered_bytes_of_the_primary_ask_for_a_checkpoint_and_lose_nothing() {
    let mut world = World::new(small());
    world.p(data(0, 100, b"12345678"));
    assert!(!queue_limit(&mut world));
    world.p(data(8, 100, b"12345678"));
    assert!(queue_limit(&mut world));
    world.p(data(16, 100, b"12345678"));
    assert!(!queue_limit(&mut world), "told once per epoch");
    world.cut(1);
    world.commit(1);
    assert_eq!(world.released().len(), 3);
    world.load(1);
    world.p(data(24, 100, b"x"));
    world.s(&data(24, 100, b"x"));
    assert_eq!(world.payloads(), [b"x"], "the next epoch agrees again");
}

#[test]
fn a_secondary_too_far_ahead_leaves_the_primary_to_the_commit() {
    let mut world = World::new(small());
    world.p(data(0, 100, b"a"));
    world.s(&data(0, 100, b"a"));
    world.released();
    world.s(&data(1, 100, b"12345678901234567890"));
    world.p(data(1, 100, b"12345"));
    assert!(world.released().is_empty());
    world.p(data(0, 100, b"a"));
    world.after(HOLD);
    assert!(std::iter::from_fn(|| world.event()).any(|event| matches!(event, Event::HoldLimit { .. })));
    world.cut(1);
    world.commit(1);
    assert_eq!(world.payloads(), [b"12345".to_vec(), b"a".to_vec()]);
}

#[test]
fn held_bytes_are_bounded_and_told() {
    let mut world = World::new(Limits {
        held_bytes: 1000,
        ..limits()
    });
    for number in 0..20 {
        world.p(build::udp(route(), &[number; 20]));
    }
    assert!(world.compare.full());
    assert!(queue_limit(&mut world));
    world.cut(1);
    world.commit(1);
    assert!(!world.compare.full());
    assert_eq!(world.compare.stats().held_bytes, 0);
}

fn from_port(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut route = route();
    route.destination.set_port(port);
    build::udp(route, payload)
}

#[test]
fn flows_beyond_the_limit_wait_for_a_commit_in_order() {
    let mut world = World::new(Limits { flows: 2, ..limits() });
    for port in 1..5 {
        world.p(from_port(port, b"a"));
    }
    assert!(queue_limit(&mut world));
    assert_eq!(world.compare.stats().flows, 2);
    for port in 1..5 {
        world.s(&from_port(port, b"a"));
    }
    assert_eq!(world.released(), [from_port(1, b"a"), from_port(2, b"a")]);
    world.cut(1);
    world.commit(1);
    assert_eq!(world.released(), [from_port(3, b"a"), from_port(4, b"a")]);
}

#[test]
fn where_there_is_no_room_flows_that_wait_for_nothing_give_theirs() {
    let mut world = World::new(Limits { flows: 2, ..limits() });
    for port in 1..100 {
        world.p(from_port(port, b"a"));
        world.s(&from_port(port, b"a"));
        world.after(2500 * MS);
    }
    assert_eq!(world.released().len(), 99);
    assert!(!queue_limit(&mut world));
}

fn syn_ack_to(port: u16) -> Vec<u8> {
    let mut route = route();
    route.destination.set_port(port);
    let segment = build::Segment {
        seq: 1,
        ack: 1,
        flags: flag::SYN | flag::ACK,
        window: 500,
        options: &[],
        payload: &[],
    };
    build::tcp(route, &segment)
}

#[test]
fn where_there_is_no_room_connections_that_never_came_about_give_theirs() {
    let mut world = World::new(Limits {
        flows: 100,
        ..limits()
    });
    world.p(data(0, 100, b"alive"));
    world.s(&data(0, 100, b"alive"));
    for port in 1..100 {
        world.p(syn_ack_to(port));
        world.s(&syn_ack_to(port));
    }
    world.after(5000 * MS - 1);
    assert_eq!(world.released().len(), 100);
    assert_eq!(world.compare.stats().flows, 100);
    world.p(syn_ack_to(1000));
    assert!(queue_limit(&mut world), "they may come about yet");
    world.cut(1);
    world.commit(1);
    world.load(1);
    assert_eq!(world.released().len(), 1);
    world.after(1);
    assert_eq!(world.compare.stats().flows, 100, "not before the room is needed");
    for port in 2000..2099 {
        world.p(syn_ack_to(port));
        world.s(&syn_ack_to(port));
    }
    assert_eq!(world.released().len(), 99);
    world.p(data(5, 100, b"on"));
    world.s(&data(5, 100, b"on"));
    assert_eq!(world.payloads(), [b"on"], "what lives keeps its place");
    assert!(!queue_limit(&mut world));
}

#[test]
fn flows_that_are_over_make_room() {
    let mut world = World::new(Limits { flows: 2, ..limits() });
    for port in 1..100 {
        world.p(from_port(port, b"a"));
        world.s(&from_port(port, b"a"));
        world.after(MINUTE);
    }
    assert_eq!(world.released().len(), 99);
    assert!(!queue_limit(&mut world));
}

#[test]
fn a_closed_connection_is_forgotten_after_a_minute_and_an_idle_one_after_two_hours() {
    for (last, lifetime) in [(fin(0, b""), MINUTE), (data(0, 100, b"x"), 120 * MINUTE)] {
        let mut world = World::connected();
        world.p(last.clone());
        world.after(1000 * MINUTE);
        assert_eq!(world.compare.stats().flows, 1, "never while something waits");
        world.s(&last);
        world.after(lifetime - 1);
        assert_eq!(world.compare.stats().flows, 1);
        world.after(1);
        assert_eq!(world.compare.stats().flows, 0);
    }
}

#[test]
fn a_flood_of_half_open_connections_is_over_in_a_minute() {
    let mut world = World::new(Limits {
        flows: 100,
        ..limits()
    });
    for second in 0..1000_u32 {
        let mut route = route();
        route.destination.set_port(second as u16 + 1);
        let options = [2, 4, 5, 180];
        let syn = build::Segment {
            seq: second,
            ack: 7,
            flags: 0x12,
            options: &options,
            ..Default::default()
        };
        let frame = build::tcp(route, &syn);
        world.s(&frame);
        world.p(frame);
        world.after(1000 * MS);
    }
    assert_eq!(world.released().len(), 1000);
}

#[test]
fn nothing_counts_as_held_when_all_has_gone() {
    let mut world = World::connected();
    world.p(pure_ack(0, 300));
    world.p(data(0, 300, b"abc"));
    world.p(segment(0, at(3), 300, &[]));
    world.p(syn_ack(99, 4));
    world.s(&data(0, 300, b"abc"));
    world.s(&syn_ack(1, 4));
    world.cut(1);
    world.commit(1);
    let stats = world.compare.stats();
    assert_eq!((stats.held_frames, stats.held_bytes), (0, 0));
    assert_eq!(world.compare.next_deadline(), None);
}

#[test]
fn a_flow_that_had_no_room_does_not_overtake_itself_when_there_is() {
    let mut world = World::new(Limits { flows: 1, ..limits() });
    world.p(from_port(1, b"a"));
    world.s(&from_port(1, b"a"));
    world.released();
    world.p(from_port(2, b"first"));
    world.after(MINUTE);
    world.p(from_port(2, b"second"));
    world.s(&from_port(2, b"second"));
    assert!(world.released().is_empty());
    world.cut(1);
    world.commit(1);
    assert_eq!(
        world.released(),
        [from_port(2, b"first"), from_port(2, b"second")]
    );
}

/// A flow that is over a minute after this.
fn exchange(world: &mut World, port: u16) {
    world.s(&from_port(port, b"a"));
    world.p(from_port(port, b"a"));
    assert_eq!(world.released().len(), 1, "no room for port {port}");
}

#[test]
fn a_full_table_is_searched_for_the_one_flow_that_is_over() {
    let mut world = World::new(Limits {
        flows: 50,
        ..limits()
    });
    (1..=50).for_each(|port| exchange(&mut world, port));
    world.now += MINUTE - 1;
    (1..50).for_each(|port| exchange(&mut world, port));
    world.now += 1;
    exchange(&mut world, 2000);
}

#[test]
fn the_table_stays_small_while_flows_come_and_go() {
    let mut world = World::new(limits());
    for port in 1..900 {
        exchange(&mut world, port);
        world.now += MINUTE / 10;
    }
    assert!(
        world.compare.stats().flows < 20,
        "{}",
        world.compare.stats().flows
    );
}

fn to_port(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut route = route();
    route.destination.set_port(port);
    let segment = build::Segment {
        seq: at(0),
        ack: 100,
        flags: 0x10,
        payload,
        ..Default::default()
    };
    build::tcp(route, &segment)
}

fn narrow(bytes: usize) -> World {
    World {
        compare: Compare::new(limits()).with_total_pending(bytes),
        ..World::new(limits())
    }
}

#[test]
fn pending_bytes_of_all_connections_together_are_bounded() {
    let mut world = narrow(1000);
    for port in 1..=20 {
        world.p(to_port(port, &[1; 100]));
        assert!(world.compare.stats().pending_bytes <= 1000);
        assert_eq!(queue_limit(&mut world), port == 11, "told once, at the bound");
    }
    for port in 1..=20 {
        world.s(&to_port(port, &[1; 100]));
    }
    assert_eq!(world.released().len(), 10, "the others wait for the commit");
    assert_eq!(world.compare.stats().pending_bytes, 0);
    world.cut(1);
    world.commit(1);
    assert_eq!(world.released().len(), 10);
    world.load(1);
    world.p(to_port(1, &[1; 100]));
    assert_eq!(world.compare.stats().pending_bytes, 0, "was agreed before");
}

#[test]
fn what_the_secondary_alone_has_said_is_bounded_over_all_flows_and_forgotten_with_the_epoch() {
    let mut world = narrow(1000);
    for port in 1..=20 {
        world.s(&to_port(port, &[1; 100]));
        world.s(&from_port(port, &[2; 100]));
        world.s(&build::tcp(
            Route::new(route().source, format!("10.0.0.8:{port}").parse().unwrap()),
            &build::Segment {
                flags: 2,
                payload: &[3; 100],
                ..Default::default()
            },
        ));
        assert!(world.compare.stats().pending_bytes <= 1000);
    }
    assert!(queue_limit(&mut world));
    world.cut(1);
    world.commit(1);
    assert_eq!(world.compare.stats().pending_bytes, 0);
}

#[test]
fn flows_that_are_over_take_their_pending_bytes_along() {
    let mut world = narrow(1000);
    for port in 1..=9 {
        world.s(&from_port(port, &[2; 60]));
    }
    assert!(world.compare.stats().pending_bytes > 900);
    world.after(MINUTE);
    world.after(MINUTE);
    assert_eq!(world.compare.stats().pending_bytes, 0);
    world.s(&to_port(1, &[1; 500]));
    world.compare.alone(world.now);
    assert_eq!(world.compare.stats().pending_bytes, 0);
}

#[test]
fn jumbo_frames_and_frames_of_64_kib_are_compared_like_any() {
    let mut world = World::new(Limits {
        pending_bytes: 1 << 20,
        ..limits()
    });
    for (round, size) in [8960, 65_495, 65_495].into_iter().enumerate() {
        let offset = [0, 8960, 8960 + 65_495][round];
        let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        world.p(data(offset, 100, &payload));
        for (index, piece) in payload.chunks(1448).enumerate() {
            assert!(world.released().is_empty());
            world.s(&data(offset + index as u32 * 1448, 100, piece));
        }
        assert_eq!(world.payloads(), [payload]);
    }
    assert_eq!(world.event(), None);
}
