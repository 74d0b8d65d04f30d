//! What the client is told that it may send.

use colo_compare::Event;
use colo_packet::build::{self, Segment};
use colo_packet::flag;

use crate::world::{HOLD, ISN, World, at, limits, route, tcp};

const SCALE: u8 = 7;

fn sized(seq: u32, ack: u32, window: u16, payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        seq,
        ack,
        flags: flag::ACK,
        window,
        payload,
        ..Segment::default()
    };
    build::tcp(route(), &segment)
}

fn update(ack: u32, window: u16) -> Vec<u8> {
    sized(at(0), ack, window, &[])
}

fn syn_ack(window: u16, options: &[u8]) -> Vec<u8> {
    let segment = Segment {
        seq: ISN,
        ack: 100,
        flags: flag::SYN | flag::ACK,
        window,
        options,
        ..Segment::default()
    };
    build::tcp(route(), &segment)
}

/// A connection whose windows count 2^7 bytes, and that has offered none yet.
fn scaled() -> World {
    greeted(&[3, 3, SCALE, 0])
}

fn greeted(options: &[u8]) -> World {
    let mut world = World::new(limits());
    world.p(syn_ack(0, options));
    world.s(&syn_ack(0, options));
    assert_eq!(world.released().len(), 1);
    world.event();
    world
}

/// (acknowledgement, window) of what was released.
fn told(world: &mut World) -> Vec<(u32, u16)> {
    let released = world.released();
    released
        .iter()
        .map(|frame| (tcp(frame).ack, tcp(frame).window))
        .collect()
}

#[test]
fn an_acknowledgement_goes_with_the_smaller_window() {
    for (primary, secondary) in [(900, 600), (600, 900)] {
        let mut world = scaled();
        world.s(&update(100, secondary));
        world.p(update(100, primary));
        assert_eq!(world.released(), [update(100, 600)], "checksum and all");
    }
}

#[test]
fn data_goes_with_the_smaller_window() {
    let mut world = scaled();
    world.p(sized(at(0), 100, 900, b"x"));
    world.s(&sized(at(0), 100, 600, b"x"));
    assert_eq!(world.released(), [sized(at(0), 100, 600, b"x")]);
    assert_eq!(world.compare.stats().clamped_windows, 1);
}

#[test]
fn a_lowered_acknowledgement_keeps_the_right_edge() {
    let mut world = scaled();
    world.s(&update(100, 600));
    world.p(sized(at(0), 100 + 64 * 128, 500, b"x"));
    world.s(&sized(at(0), 100, 600, b"x"));
    assert_eq!(told(&mut world), [(100, 564)]);
}

#[test]
fn the_smaller_right_edge_counts_not_the_smaller_window() {
    let mut world = scaled();
    world.s(&update(100 + 100 * 128, 500));
    world.p(update(100, 600));
    assert_eq!(told(&mut world), [(100, 600)]);
}

#[test]
fn without_the_option_windows_are_not_scaled() {
    let mut world = greeted(&[]);
    world.p(sized(at(0), 200, 900, b"x"));
    world.s(&sized(at(0), 150, 800, b"x"));
    assert_eq!(told(&mut world), [(150, 800)]);
    let mut world = greeted(&[]);
    world.p(sized(at(0), 200, 700, b"x"));
    world.s(&sized(at(0), 150, 800, b"x"));
    assert_eq!(told(&mut world), [(150, 750)]);
}

#[test]
fn right_edges_are_compared_modulo_2_32() {
    let mut world = scaled();
    let ack = u32::MAX - 50;
    let jump = |world: &mut World, ack| {
        world.s(&update(ack, 1));
        world.p(update(ack, 1));
        world.released();
    };
    jump(&mut world, 1 << 30);
    jump(&mut world, 1 << 31);
    jump(&mut world, 3 << 30);
    world.s(&update(ack, 400));
    world.p(update(ack, 900));
    assert_eq!(told(&mut world), [(ack, 400)]);
}

#[test]
fn of_a_connection_first_seen_in_mid_stream_the_smaller_field_counts() {
    let mut world = World::new(limits());
    world.p(sized(at(0), 200, 500, b"x"));
    world.s(&sized(at(0), 150, 600, b"x"));
    assert_eq!(told(&mut world), [(150, 500)]);
    world.p(sized(at(1), 200, 500, b"x"));
    world.s(&sized(at(1), 200, 400, b"x"));
    assert_eq!(told(&mut world), [(200, 400)]);
}

#[test]
fn a_syn_ack_goes_with_the_smaller_window_unscaled() {
    let mut world = World::new(limits());
    world.p(syn_ack(64_000, &[3, 3, SCALE, 0]));
    world.s(&syn_ack(32_000, &[3, 3, SCALE, 0]));
    assert_eq!(told(&mut world), [(100, 32_000)]);
}

#[test]
fn a_window_that_the_secondary_has_not_opened_stays_shut_until_it_does() {
    let mut world = scaled();
    world.p(update(100, 0));
    world.s(&update(100, 0));
    assert_eq!(told(&mut world), [(100, 0)]);
    world.p(update(100, 500));
    assert!(told(&mut world).is_empty(), "it would look like a duplicate");
    world.s(&update(100, 500));
    assert_eq!(told(&mut world), [(100, 500)]);
}

#[test]
fn what_the_secondary_opens_later_is_told_although_the_primary_is_silent() {
    let mut world = scaled();
    world.p(sized(at(0), 100, 500, b"x"));
    world.s(&sized(at(0), 100, 10, b"x"));
    assert_eq!(told(&mut world), [(100, 10)]);
    world.s(&update(100, 12));
    assert!(told(&mut world).is_empty(), "a small step is not worth a frame");
    world.s(&update(100, 40));
    world.s(&update(100, 500));
    world.s(&update(100, 600));
    assert_eq!(told(&mut world), [(100, 40), (100, 500)]);
}

#[test]
fn a_window_that_is_all_the_primary_offers_is_told_however_small_the_step() {
    let mut world = scaled();
    world.p(sized(at(0), 100, 12, b"x"));
    world.s(&sized(at(0), 100, 10, b"x"));
    world.s(&update(100, 12));
    assert_eq!(told(&mut world), [(100, 10), (100, 12)]);
}

#[test]
fn a_window_asks_for_a_checkpoint_only_if_it_would_let_the_client_send_twice_as_much() {
    for (secondary, differs) in [(0, true), (250, true), (251, false), (499, false)] {
        let mut world = scaled();
        world.p(update(100, 500));
        world.s(&update(100, secondary));
        assert_eq!(world.released().len(), 1);
        world.after(10 * HOLD);
        assert_eq!(world.event().is_some(), differs, "{secondary}");
        assert_eq!(world.compare.next_deadline(), None);
    }
}

#[test]
fn each_probe_of_the_client_is_answered_once_however_the_answers_come() {
    for secondary_first in [false, true] {
        let mut world = scaled();
        world.p(sized(at(0), 100, 500, b"x"));
        world.s(&sized(at(0), 100, 0, b"x"));
        assert_eq!(told(&mut world), [(100, 0)]);
        let shut = |world: &mut World| world.s(&sized(at(1), 100, 0, &[]));
        for _ in 0..5 {
            if secondary_first {
                shut(&mut world);
            }
            world.p(sized(at(1), 100, 600, &[]));
            if !secondary_first {
                assert!(world.released().is_empty());
                shut(&mut world);
            }
            assert_eq!(told(&mut world), [(100, 0)]);
        }
    }
}

#[test]
fn duplicates_tell_of_a_loss_although_the_window_is_lowered() {
    for secondary_first in [false, true] {
        let mut world = scaled();
        world.p(update(100, 500));
        world.s(&update(100, 400));
        world.p(update(100, 500));
        assert_eq!(told(&mut world)[0], (100, 400));
        for primary in [!secondary_first, secondary_first] {
            for _ in 0..3 {
                match primary {
                    true => world.p(update(100, 500)),
                    false => world.s(&update(100, 400)),
                }
            }
        }
        let duplicates = told(&mut world);
        assert!(duplicates.len() >= 3, "{duplicates:?}");
        assert!(duplicates.iter().all(|told| *told == (100, 400)));
    }
}

#[test]
fn a_window_that_shrinks_on_the_primary_is_told_at_once() {
    let mut world = scaled();
    world.s(&update(100, 500));
    world.p(update(100, 500));
    world.p(update(100, 300));
    assert_eq!(told(&mut world), [(100, 500), (100, 300)]);
}

#[test]
fn a_checkpoint_makes_the_windows_equal() {
    let mut world = scaled();
    world.p(update(100, 900));
    world.s(&update(100, 600));
    assert_eq!(told(&mut world), [(100, 600)]);
    world.cut(1);
    world.commit(1);
    assert_eq!(told(&mut world), [(100, 900)], "what was owed");
    world.load(1);
    world.p(update(100, 900));
    assert_eq!(told(&mut world), [(100, 900)]);
}

#[test]
fn what_is_sent_by_commit_keeps_its_window() {
    let mut world = scaled();
    world.p(sized(at(0), 100, 900, b"x"));
    world.s(&update(100, 600));
    world.cut(1);
    world.commit(1);
    assert_eq!(told(&mut world), [(100, 900)]);
}

#[test]
fn a_new_connection_on_the_same_ports_has_a_scale_of_its_own() {
    let mut world = scaled();
    let again = |seq| {
        let segment = Segment {
            seq,
            ack: 9000,
            flags: flag::SYN | flag::ACK,
            window: 64_000,
            ..Segment::default()
        };
        build::tcp(route(), &segment)
    };
    world.p(again(5));
    world.s(&again(5));
    assert!(matches!(world.event(), Some(Event::Isn { isn: 5, .. })));
    world.released();
    world.p(sized(6, 9200, 700, b"x"));
    world.s(&sized(6, 9150, 800, b"x"));
    assert_eq!(told(&mut world), [(9150, 750)]);
}
