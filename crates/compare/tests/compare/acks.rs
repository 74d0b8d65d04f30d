//! What the client is told to be acknowledged.

use colo_compare::Difference;
use colo_packet::build::{self, Segment};
use colo_packet::flag;

use crate::world::{HOLD, ISN, World, at, data, fin, pure_ack, route, segment, tcp, with_options};

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
fn an_acknowledgement_that_only_the_primary_gives_is_a_difference_at_the_ceiling_once_in_an_epoch() {
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    assert_eq!(world.compare.next_deadline(), Some(world.now + HOLD));
    world.after(HOLD - 1);
    assert_eq!(world.event(), None);
    world.after(1);
    let (kind, detail) = world.divergence();
    assert_eq!(kind, Difference::Acknowledgement);
    assert_eq!(
        detail,
        "the primary acknowledges 200 with window 500, the secondary 100 with window 500"
    );
    let log = world.compare.take_log();
    assert_eq!(log.last(1).next().map(|told| told.held_ns), Some(HOLD));
    world.after(10 * HOLD);
    assert_eq!(world.event(), None);
    assert_eq!(world.compare.next_deadline(), None);
}

#[test]
fn an_acknowledgement_that_is_never_given_is_told_again_in_the_next_epoch() {
    let mut world = World::connected();
    for epoch in 1..4 {
        world.p(pure_ack(0, 200 * epoch));
        world.after(HOLD);
        assert_eq!(world.divergence().0, Difference::Acknowledgement);
        let checkpoint = u64::from(epoch);
        world.cut(checkpoint);
        world.commit(checkpoint);
        world.load(checkpoint);
        assert_eq!(world.acks(), [200 * epoch]);
        world.after(HOLD);
        assert_eq!(world.event(), None, "nothing is owed after a commit");
    }
}

#[test]
fn a_client_that_hears_more_and_more_does_not_wait_too_long() {
    let mut world = World::connected();
    world.p(pure_ack(0, 10_000));
    for ack in (200..10_000).step_by(200) {
        world.after(HOLD / 2);
        world.s(&pure_ack(0, ack));
        assert_eq!(world.acks(), [ack]);
    }
    assert_eq!(world.event(), None);
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
fn data_overtakes_an_acknowledgement_that_waits_and_makes_it_needless() {
    let mut world = World::connected();
    world.p(pure_ack(0, 200));
    world.p(data(0, 200, b"x"));
    world.s(&data(0, 150, b"x"));
    assert_eq!(world.released(), [data(0, 150, b"x")]);
    assert_eq!(world.compare.stats().held_frames, 0);
    world.s(&pure_ack(1, 200));
    assert_eq!(world.released(), [pure_ack(1, 200)], "the rest is owed");
}

#[test]
fn an_acknowledgement_that_data_was_sent_without_follows_when_the_secondary_has_caught_up() {
    let mut world = World::connected();
    world.p(data(0, 400, b"abc"));
    world.s(&data(0, 100, b"abc"));
    assert_eq!(world.acks(), [100]);
    world.s(&pure_ack(3, 300));
    world.s(&pure_ack(3, 500));
    world.s(&pure_ack(3, 600));
    assert_eq!(world.released(), [pure_ack(3, 300), pure_ack(3, 400)]);
    assert_eq!(world.compare.stats().made_acks, 2);
}

#[test]
fn nothing_is_owed_once_the_primary_has_said_it_itself() {
    let mut world = World::connected();
    world.p(data(0, 400, b"abc"));
    world.s(&data(0, 100, b"abc"));
    world.s(&data(3, 400, b"def"));
    assert_eq!(world.acks(), [100, 400]);
    world.p(data(3, 400, b"def"));
    assert_eq!(world.acks(), [400]);
    world.s(&pure_ack(6, 400));
    assert!(world.released().is_empty());
}

#[test]
fn what_is_owed_is_told_with_the_commit() {
    let mut world = World::connected();
    world.p(data(0, 400, b"abc"));
    world.s(&data(0, 100, b"abc"));
    world.released();
    world.cut(1);
    assert!(world.released().is_empty());
    world.commit(1);
    assert_eq!(world.released(), [pure_ack(3, 400)]);
}

#[test]
fn what_is_owed_is_told_when_the_secondary_is_gone() {
    let mut world = World::connected();
    world.p(data(0, 400, b"abc"));
    world.s(&data(0, 100, b"abc"));
    world.released();
    world.compare.alone(world.now);
    assert_eq!(world.released(), [pure_ack(3, 400)]);
}

#[test]
fn a_made_acknowledgement_has_the_newest_sequence_number() {
    let mut world = World::connected();
    for (offset, payload) in [(0, b"abc"), (3, b"def"), (0, b"abc")] {
        world.p(data(offset, 400, payload));
        world.s(&data(offset, 100, payload));
    }
    world.released();
    world.s(&pure_ack(6, 400));
    assert_eq!(
        world.released(),
        [pure_ack(6, 400)],
        "one with the number of what was sent again is not read"
    );
}

#[test]
fn keep_alives_pass_with_and_without_a_byte() {
    for garbage in [&b""[..], b"?"] {
        let mut world = World::connected();
        world.p(data(0, 100, b"abc"));
        world.s(&data(0, 100, b"abc"));
        world.released();
        for _ in 0..3 {
            world.p(segment(0, at(2), 100, garbage));
            world.s(&segment(0, at(2), 100, b"other"[..garbage.len()].as_ref()));
            assert_eq!(world.released(), [segment(0, at(2), 100, garbage)]);
        }
        assert_eq!(world.event(), None);
    }
}

#[test]
fn a_keep_alive_before_any_data_passes() {
    let mut world = World::connected();
    world.p(segment(0, ISN, 100, b"?"));
    assert_eq!(world.payloads(), [b"?"]);
    world.p(segment(0, ISN, 100, b""));
    assert_eq!(world.payloads(), [b""]);
}

#[test]
fn a_keep_alive_does_not_replace_an_acknowledgement_that_waits() {
    let mut world = World::connected();
    world.p(pure_ack(3, 200));
    let mut alive = Segment {
        seq: at(2),
        ack: 200,
        flags: flag::ACK,
        window: 700,
        ..Segment::default()
    };
    world.p(build::tcp(route(), &alive));
    world.s(&pure_ack(3, 200));
    alive.window = 500;
    assert_eq!(
        world.released(),
        [pure_ack(3, 200)],
        "the keep-alive's window waits for the secondary"
    );
    world.s(&pure_ack(2, 200));
    assert_eq!(world.released(), [build::tcp(route(), &alive)]);
}

#[test]
fn a_half_closed_connection_goes_on_acknowledging() {
    let mut world = World::connected();
    world.p(fin(0, b"bye"));
    world.s(&fin(0, b"bye"));
    world.released();
    for ack in [200, 300] {
        world.p(pure_ack(4, ack));
        assert!(world.released().is_empty());
        world.s(&pure_ack(4, ack));
        assert_eq!(world.acks(), [ack]);
    }
    assert_eq!(world.event(), None);
}

#[test]
fn acknowledgements_are_compared_modulo_2_32() {
    let mut world = World::new(crate::world::limits());
    world.s(&segment(0, at(0), 5, &[]));
    world.p(segment(0, at(0), u32::MAX - 5, &[]));
    world.p(segment(0, at(0), 6, &[]));
    assert_eq!(world.acks(), [u32::MAX - 5, 5]);
}
