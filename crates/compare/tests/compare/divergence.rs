//! What is remembered of divergences.

use colo_compare::{Difference, Divergence};
use colo_packet::{build, flag};

use crate::world::{HOLD, MS, World, data, fin, limits, route, segment, syn_ack};

fn only(world: &mut World) -> Divergence {
    let log = world.compare.take_log();
    let all: Vec<_> = log.last(usize::MAX).cloned().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

#[test]
fn a_record_says_where_what_and_for_how_long() {
    let mut world = World::connected();
    world.p(data(0, 100, b"same"));
    world.p(data(4, 100, b"date 1, and much more than is shown"));
    world.after(7 * MS);
    world.s(&data(0, 100, b"samedate 2, and"));
    let told = only(&mut world);
    assert_eq!((told.kind, told.epoch, told.nic), (Difference::Stream, 1, 0));
    assert_eq!(told.flow.to_string(), "tcp 10.0.0.2:80 > 10.0.0.9:4312");
    assert_eq!(told.offset, Some(9));
    assert_eq!(
        (told.primary.as_slice(), told.secondary.as_slice()),
        (&b"1, and much more"[..], &b"2, and"[..])
    );
    assert_eq!((told.held_ns, told.at), (7 * MS, world.now));
    assert!(world.compare.take_log().is_empty());
}

#[test]
fn nothing_was_held_when_the_secondary_spoke_first() {
    let mut world = World::connected();
    world.s(&data(0, 100, b"a"));
    world.after(7 * MS);
    world.p(data(0, 100, b"b"));
    let told = only(&mut world);
    assert_eq!(
        (told.held_ns, told.primary, told.secondary),
        (0, b"b".to_vec(), b"a".to_vec())
    );
}

#[test]
fn what_is_missing_is_told_with_what_the_primary_sent() {
    let mut world = World::connected();
    world.p(data(0, 100, b"known and unknown"));
    world.s(&data(0, 100, b"known "));
    world.after(HOLD);
    let told = only(&mut world);
    assert_eq!((told.kind, told.offset), (Difference::Missing, Some(6)));
    assert_eq!((told.primary, told.held_ns), (b"and unknown".to_vec(), HOLD));
    assert_eq!(told.secondary, b"");
    assert!(told.detail.contains("not these 11 bytes"), "{}", told.detail);
}

#[test]
fn a_one_sided_end_is_an_end_and_a_one_sided_beginning_is_missing() {
    let one_sided = [
        (
            fin(0, b""),
            Difference::End,
            "offset 0: the secondary has sent no FIN",
        ),
        (
            segment(flag::RST, crate::world::at(0), 100, b""),
            Difference::End,
            "the secondary has sent no RST",
        ),
        (
            syn_ack(77, 200),
            Difference::Missing,
            "the secondary has sent no SYN",
        ),
    ];
    for (frame, kind, sentence) in one_sided {
        let mut world = World::connected();
        world.p(frame);
        world.after(HOLD);
        let told = only(&mut world);
        assert_eq!((told.kind, told.detail.as_str()), (kind, sentence));
    }
}

#[test]
fn a_message_without_a_twin_is_missing_and_two_different_ones_differ() {
    let udp = |payload: &[u8]| build::udp(route(), payload);
    let mut world = World::new(limits());
    world.p(udp(b"lonely"));
    world.after(HOLD);
    let told = only(&mut world);
    assert_eq!(
        (told.kind, told.primary),
        (Difference::Missing, b"lonely".to_vec())
    );
    let mut world = World::new(limits());
    world.p(udp(b"time 1"));
    world.s(&udp(b"time 2"));
    world.after(3 * MS);
    let told = only(&mut world);
    assert_eq!((told.kind, told.held_ns), (Difference::Message, 3 * MS));
    assert_eq!((told.offset, told.secondary), (Some(5), b"2".to_vec()));
}

#[test]
fn who_repeats_itself_differently_is_named() {
    let mut world = World::connected();
    world.s(&data(0, 100, b"first"));
    world.s(&data(2, 100, b"RST"));
    let told = only(&mut world);
    assert_eq!(told.detail, "offset 2: the secondary said 727374, now 525354");
    assert_eq!((told.primary, told.secondary), (Vec::new(), b"RST".to_vec()));
}

#[test]
fn all_are_counted_and_the_last_ones_kept() {
    let mut world = World::new(limits());
    for port in 0..600_u16 {
        let mut other = route();
        other.destination.set_port(1000 + port);
        world.p(build::udp(other, b"p"));
        world.s(&build::udp(other, b"s"));
    }
    world.after(3 * MS);
    let mut log = world.compare.take_log();
    let mut counts: Vec<_> = log.counts().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counts, [(Difference::Message, 600)]);
    assert_eq!(log.last(usize::MAX).count(), 256);
    let last = log.last(1).next().unwrap();
    assert!(last.flow.to_string().ends_with(":1599"), "{}", last.flow);
    log.absorb(log.clone());
    counts = log.counts().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counts, [(Difference::Message, 1200)]);
    assert_eq!(log.last(usize::MAX).count(), 256);
}
