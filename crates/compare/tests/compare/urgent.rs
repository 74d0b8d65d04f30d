//! Urgent data is part of what a client sees.

use colo_compare::Event;
use colo_packet::build::{self, Segment};
use colo_packet::{checksum, flag};

use crate::world::{HOLD, World, at, data, route};

/// Data that names an end of urgent data, `pointer` after its beginning.
fn urgent(offset: u32, pointer: u16, payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        seq: at(offset),
        ack: 100,
        flags: flag::ACK | flag::PSH | flag::URG,
        window: 500,
        payload,
        ..Segment::default()
    };
    let mut frame = build::tcp(route(), &segment);
    let sum = u16::from_be_bytes([frame[50], frame[51]]);
    let sum = checksum::mend(sum, &[0, 0], &pointer.to_be_bytes(), false);
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
    frame[52..54].copy_from_slice(&pointer.to_be_bytes());
    frame
}

fn waits(world: &mut World) {
    assert!(world.released().is_empty());
    world.after(HOLD);
    assert!(matches!(world.event(), Some(Event::HoldLimit { .. })));
    world.cut(1);
    world.commit(1);
    assert_eq!(world.released().len(), 1);
}

#[test]
fn it_goes_when_both_name_the_same_end_whatever_the_cut() {
    let mut world = World::connected();
    world.p(urgent(0, 4, b"abcd"));
    world.s(&urgent(0, 4, b"ab"));
    assert!(world.released().is_empty());
    world.s(&urgent(2, 2, b"cd"));
    assert_eq!(world.released(), [urgent(0, 4, b"abcd")]);
    world.p(urgent(0, 4, b"abcd"));
    assert_eq!(world.released().len(), 1, "once more");
}

#[test]
fn another_end_waits_for_the_commit() {
    let mut world = World::connected();
    world.p(urgent(0, 3, b"abcd"));
    world.s(&urgent(0, 4, b"abcd"));
    waits(&mut world);
}

#[test]
fn data_that_is_urgent_on_one_machine_only_waits_for_the_commit() {
    for primary in [true, false] {
        let mut world = World::connected();
        let (one, other) = (urgent(0, 4, b"abcd"), data(0, 100, b"abcd"));
        world.p(if primary { one.clone() } else { other.clone() });
        world.s(if primary { &other } else { &one });
        waits(&mut world);
    }
}

#[test]
fn data_before_and_after_it_is_free() {
    let mut world = World::connected();
    world.s(&data(0, 100, b"abcd"));
    world.s(&urgent(4, 1, b"!"));
    world.s(&data(5, 100, b"efgh"));
    world.p(data(0, 100, b"abcd"));
    world.p(urgent(4, 1, b"!"));
    world.p(data(5, 100, b"efgh"));
    assert_eq!(world.released().len(), 3);
}

#[test]
fn it_can_be_sent_again_in_the_next_epoch() {
    let mut world = World::connected();
    world.p(urgent(0, 4, b"abcd"));
    world.s(&urgent(0, 4, b"abcd"));
    world.cut(1);
    world.commit(1);
    world.load(1);
    world.released();
    world.p(urgent(0, 4, b"abcd"));
    assert_eq!(world.released().len(), 1);
}

#[test]
fn an_urgent_pointer_without_data_waits_for_the_commit() {
    let mut world = World::connected();
    world.p(urgent(0, 4, b""));
    world.s(&urgent(0, 4, b""));
    waits(&mut world);
}
