//! IP fragments: what the vectors (tests/vectors/fragment*) do not say, which is accounts and arbitrary cuttings.

use colo_packet::build::{self, Route};
use colo_packet::put_together;
use proptest::prelude::*;

use crate::world::{HOLD, MS, World, data, limits, route, tcp};

const SECOND: u64 = 1000 * MS;
const UDP: u8 = 17;
const TCP: u8 = 6;

fn v6() -> Route {
    Route::new("[fd00::2]:80".parse().unwrap(), "[fd00::9]:4312".parse().unwrap())
}

/// What stands behind the IP header of a frame that is not cut.
fn datagram(frame: &[u8], route: Route) -> &[u8] {
    &frame[if route.source.is_ipv4() { 34 } else { 54 }..]
}

/// The piece from unit to unit of 8 bytes; the last one reaches the end.
fn piece(route: Route, protocol: u8, id: u16, datagram: &[u8], from: usize, to: usize) -> Vec<u8> {
    let end = (to * 8).min(datagram.len());
    let more = end < datagram.len();
    build::fragment(route, protocol, id, from as u16, more, &datagram[from * 8..end])
}

fn udp_piece(id: u16, payload: &[u8], from: usize, to: usize) -> Vec<u8> {
    let frame = build::udp(route(), payload);
    piece(route(), UDP, id, datagram(&frame, route()), from, to)
}

#[test]
fn a_segment_in_fragments_leaves_with_a_lowered_acknowledgement_and_a_right_checksum() {
    let mut world = World::connected();
    let (segment, lowered) = (data(0, 900, &[7; 40]), data(0, 700, &[7; 40]));
    let pieces = |frame: &[u8]| {
        let datagram = datagram(frame, route());
        [(0, 1), (1, 3), (3, 8)].map(|(from, to)| piece(route(), TCP, 7, datagram, from, to))
    };
    for fragment in pieces(&segment) {
        world.p(fragment);
    }
    world.s(&lowered);
    let released = world.released();
    assert_eq!(released, pieces(&lowered));
    let whole = put_together(&released[0], datagram(&lowered, route())).unwrap();
    assert_eq!(tcp(&whole).ack, 700);
    assert_eq!(world.compare.stats().clamped_acks, 1);
}

#[test]
fn held_frames_are_counted_as_they_came() {
    let mut world = World::new(limits());
    let payload = [7; 40];
    let (one, two) = (udp_piece(1, &payload, 0, 2), udp_piece(1, &payload, 2, 6));
    let bytes = (one.len() + two.len()) as u64;
    for frame in [&one, &two] {
        world.p(frame.clone());
    }
    let stats = world.compare.stats();
    assert_eq!((stats.held_frames, stats.held_bytes), (2, bytes));
    world.s(&one);
    world.s(&two);
    assert_eq!(world.released(), [one, two]);
    let stats = world.compare.stats();
    assert_eq!(
        (stats.held_frames, stats.held_bytes, stats.released_agreed),
        (0, 0, 2)
    );
    assert_eq!(stats.pending_bytes, 0);
}

#[test]
fn fragments_that_never_become_whole_cost_bounded_memory() {
    let mut world = World::new(limits());
    let limit = limits().pending_bytes as u64;
    for id in 0..5000 {
        world.s(&udp_piece(id, &[7; 1600], 0, 180));
        assert!(world.compare.stats().pending_bytes <= limit);
    }
    assert_eq!(world.compare.stats().flows, 1);
    for port in 0..5000_u16 {
        let client = Route::new(
            "10.0.0.2:80".parse().unwrap(),
            ([10, 1, (port >> 8) as u8, port as u8], 1).into(),
        );
        world.s(&build::fragment(client, UDP, 1, 0, true, &[7; 1440]));
    }
    assert!(world.compare.stats().pending_bytes <= 16 << 20);
}

#[test]
fn the_account_is_even_again_when_fragments_are_forgotten() {
    let mut world = World::new(limits());
    world.s(&udp_piece(1, &[7; 100], 0, 2));
    assert!(world.compare.stats().pending_bytes > 0);
    world.after(61 * SECOND);
    let stats = world.compare.stats();
    assert_eq!((stats.pending_bytes, stats.flows), (0, 0));
}

#[test]
fn what_the_secondary_has_of_a_committed_epoch_is_forgotten() {
    let mut world = World::new(limits());
    world.s(&udp_piece(1, &[7; 100], 0, 2));
    world.cut(1);
    world.commit(1);
    assert_eq!(world.compare.stats().pending_bytes, 0);
}

#[test]
fn what_waits_is_told_as_missing() {
    let mut world = World::new(limits());
    world.p(udp_piece(1, &[7; 100], 0, 2));
    world.after(HOLD);
    let log = world.compare.take_log();
    let told = log.last(1).next().unwrap();
    assert_eq!(
        (told.flow.to_string(), told.detail.clone()),
        (
            "fragments of protocol 17 10.0.0.2 > 10.0.0.9".into(),
            "fragments that make no datagram: 1".into()
        )
    );
    assert_eq!(told.held_ns, HOLD);
}

#[test]
fn a_datagram_without_room_for_its_flow_waits_whole() {
    let mut world = World::new(colo_compare::Limits { flows: 1, ..limits() });
    let frames = [udp_piece(1, &[7; 40], 0, 2), udp_piece(1, &[7; 40], 2, 6)];
    for frame in &frames {
        world.p(frame.clone());
    }
    assert_eq!(world.compare.stats().held_frames, 2);
    world.cut(1);
    world.commit(1);
    assert_eq!(world.released(), frames);
}

/// Boundaries in units, a permutation, and which pieces come twice.
type Cutting = (Vec<usize>, Vec<prop::sample::Index>, Vec<prop::sample::Index>);

fn cutting() -> impl Strategy<Value = Cutting> {
    (
        prop::collection::vec(1..12_usize, 0..6),
        prop::collection::vec(any::<prop::sample::Index>(), 8),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    )
}

fn pieces((cuts, order, again): &Cutting, route: Route, id: u16, datagram: &[u8]) -> Vec<Vec<u8>> {
    let units = datagram.len().div_ceil(8);
    let mut bounds: Vec<usize> = cuts.iter().copied().filter(|cut| *cut < units).collect();
    bounds.extend([0, units]);
    bounds.sort_unstable();
    bounds.dedup();
    let mut pieces: Vec<Vec<u8>> = bounds
        .windows(2)
        .map(|pair| piece(route, UDP, id, datagram, pair[0], pair[1]))
        .collect();
    for (index, other) in order.iter().enumerate().take(pieces.len()) {
        let other = other.index(pieces.len());
        pieces.swap(index, other);
    }
    for which in again {
        let last = pieces.len() - 1;
        if last > 0 {
            pieces.insert(last, pieces[which.index(last)].clone());
        }
    }
    pieces
}

proptest! {
    #[test]
    fn a_datagram_goes_as_it_came_if_and_only_if_it_is_the_same(
        one in cutting(), other in cutting(), payload in prop::collection::vec(any::<u8>(), 1..90),
        wrong in prop::option::of(any::<prop::sample::Index>()), ipv6 in any::<bool>(), secondary_first in any::<bool>(),
    ) {
        let route = if ipv6 { v6() } else { route() };
        let mut said = payload.clone();
        if let Some(wrong) = wrong {
            *wrong.get_mut(&mut said) ^= 1;
        }
        let primary = pieces(&one, route, 1, datagram(&build::udp(route, &payload), route));
        let secondary = pieces(&other, route, 2, datagram(&build::udp(route, &said), route));
        let mut world = World::new(limits());
        if secondary_first {
            secondary.iter().for_each(|frame| world.s(frame));
        }
        primary.iter().for_each(|frame| world.p(frame.clone()));
        if !secondary_first {
            secondary.iter().for_each(|frame| world.s(frame));
        }
        let held = world.released();
        if wrong.is_none() {
            prop_assert_eq!(&held, &primary);
        } else {
            prop_assert!(held.is_empty());
            world.cut(1);
            world.commit(1);
            prop_assert_eq!(&world.released(), &primary);
        }
        prop_assert_eq!(world.compare.stats().held_bytes, 0);
        world.cut(2);
        world.commit(2);
        prop_assert_eq!(world.compare.stats().pending_bytes, 0);
    }
}
