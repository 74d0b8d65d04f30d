//! Segments that are cut into IP fragments.

use colo_packet::build::{self, Route, Segment};
use colo_packet::{Direction, put_together, segment};

use crate::world::{NIC, World, ack, data};

const HEADER: usize = 34;
const TCP: u8 = 6;

/// A segment in two fragments, the first one of so many units of 8 bytes.
fn cut(route: Route, segment: &Segment<'_>, units: u16) -> [Vec<u8>; 2] {
    let whole = build::tcp(route, segment);
    let (first, rest) = whole[HEADER..].split_at(usize::from(units) * 8);
    [
        build::fragment(route, TCP, 7, 0, true, first),
        build::fragment(route, TCP, 7, units, false, rest),
    ]
}

fn outgoing(world: &mut World, mut frames: [Vec<u8>; 2]) -> [Vec<u8>; 2] {
    for frame in &mut frames {
        world.translator.outgoing(NIC, frame, world.now);
    }
    frames
}

#[test]
fn the_numbers_in_a_first_fragment_are_translated_and_the_checksum_fits_the_whole() {
    let mut world = World::open();
    let route = world.route;
    let sent = outgoing(&mut world, cut(route, &data(1001), 3));
    assert_eq!(sent, cut(route, &data(5001), 3));
    let payload = &build::tcp(route, &data(5001))[HEADER..];
    let whole = put_together(&sent[0], payload).unwrap();
    assert_eq!(segment(&whole, Direction::Outgoing).unwrap().seq, 5001);
    let asked = |number| Segment {
        payload: b"question",
        ..ack(number)
    };
    let [mut received, _] = cut(route.reversed(), &asked(5001), 3);
    world.translator.incoming(NIC, &mut received, world.now);
    assert_eq!(received, cut(route.reversed(), &asked(1001), 3)[0]);
}

#[test]
fn a_header_that_goes_on_in_the_next_fragment_is_not_translated() {
    let mut world = World::open();
    let route = world.route;
    for units in [1, 2] {
        let frames = cut(route, &data(1001), units);
        assert_eq!(outgoing(&mut world, frames.clone()), frames);
    }
}
