//! What the client is told to be acknowledged.

use colo_packet::flag;

use crate::world::{HOLD, World, at, data, pure_ack, segment, tcp, with_options};

#[test]
fn data_goes_with_what_both_have_acknowledged() {
    let mut world = World::connected();
    world.p(data(0, 300, b"x"));
    world.s(&data(0, 200, b"x"));
    let released = world.released();
    assert_eq!(tcp(&released[0]).ack, 200);
    assert_eq!(released[0], data(0, 200, b"x"), "checksum and all");
    assert_eq!(world.compare.stats().clamped_acks, 1);
}

#[test]
fn an_acknowledgement_waits_for_the_secondary_s() {
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    assert!(world.released().is_empty());
    world.s(&pure_ack(0, 250));
    assert_eq!(world.acks(), [200]);
}

#[test]
fn an_acknowledgement_has_no_hold_limit() {
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    world.after(10 * HOLD);
    assert_eq!(world.event(), None);
    assert_eq!(world.compare.next_deadline(), None);
}

#[test]
fn a_newer_acknowledgement_replaces_a_waiting_one() {
    let mut world = World::connected();
    for ack in [200, 300, 400] {
        world.p(pure_ack(0, ack));
    }
    assert_eq!(world.compare.stats().held_frames, 1);
    world.s(&pure_ack(0, 400));
    assert_eq!(world.acks(), [400]);
    assert_eq!(world.compare.stats().replaced_acks, 2);
}

#[test]
fn while_one_waits_the_client_hears_what_the_secondary_has_acknowledged() {
    let mut world = World::connected();
    world.p(pure_ack(0, 400));
    world.s(&pure_ack(0, 200));
    world.s(&pure_ack(0, 200));
    world.s(&pure_ack(0, 300));
    let released = world.released();
    assert_eq!(released, [pure_ack(0, 200), pure_ack(0, 300)]);
    assert_eq!(world.compare.stats().held_frames, 1);
    world.s(&pure_ack(0, 400));
    assert_eq!(world.acks(), [400]);
}

#[test]
fn duplicates_that_tell_of_losses_are_kept_but_not_without_end() {
    let sack = [1, 1, 5, 10, 0, 0, 3, 0, 0, 0, 4, 0];
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    world.p(pure_ack(0, 200));
    world.p(with_options(0, at(0), 200, &[], &sack));
    assert_eq!(world.compare.stats().held_frames, 3);
    for _ in 0..100 {
        world.p(pure_ack(0, 200));
    }
    assert!(world.compare.stats().held_frames < 20);
    world.s(&pure_ack(0, 200));
    assert!(world.released().len() >= 3);
}

#[test]
fn a_window_update_replaces_the_one_before() {
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    let mut segment = colo_packet::build::Segment {
        seq: at(0),
        ack: 200,
        flags: flag::ACK,
        ..Default::default()
    };
    segment.window = 900;
    world.p(colo_packet::build::tcp(crate::world::route(), &segment));
    world.s(&pure_ack(0, 200));
    let windows: Vec<u16> = world.released().iter().map(|frame| tcp(frame).window).collect();
    assert_eq!(windows, [900]);
}

#[test]
fn data_does_not_overtake_an_acknowledgement() {
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    world.p(data(0, 200, b"x"));
    world.s(&data(0, 150, b"x"));
    assert_eq!(world.released(), [pure_ack(0, 150)]);
    world.s(&pure_ack(1, 200));
    assert_eq!(world.payloads(), [b"".to_vec(), b"x".to_vec()]);
}

#[test]
fn acknowledgements_are_compared_modulo_2_32() {
    let mut world = World::new(crate::world::limits());
    world.s(&segment(0, at(0), 5, &[]));
    world.p(segment(0, at(0), u32::MAX - 5, &[]));
    world.p(segment(0, at(0), 6, &[]));
    assert_eq!(world.acks(), [u32::MAX - 5, 5]);
}
