//! How long frames may wait: docs/hold-limit.md, sentence by sentence.

use colo_compare::Event;
use colo_packet::build;
use proptest::prelude::*;

use crate::world::{HOLD, MS, World, data, route};

/// What is allowed on top of the estimate.
const FLOOR: u64 = 5 * MS;

fn udp(number: u32) -> Vec<u8> {
    let mut route = route();
    route.destination.set_port(9);
    build::udp(route, &number.to_be_bytes())
}

/// The next event is a hold limit: how long the frame waited.
fn hold_limit(world: &mut World) -> Option<u64> {
    match world.event()? {
        Event::HoldLimit { waited_ns, .. } => Some(waited_ns),
        other => panic!("not a hold limit: {other:?}"),
    }
}

impl World {
    /// The SVM has answered 300 frames, each after `lag`.
    fn used_to(lag: u64) -> Self {
        let mut world = Self::connected();
        for number in 0..300 {
            world.p(udp(number));
            world.after(lag);
            world.s(&udp(number));
        }
        world.released();
        assert_eq!(world.event(), None);
        world
    }

    fn limit(&self) -> u64 {
        self.compare.stats().hold_limit_ns
    }

    /// Both machines begin the next epoch.
    fn checkpoint(&mut self, number: u64) {
        self.cut(number);
        self.commit(number);
        self.load(number);
        self.released();
    }

    /// Until a hold limit, looking whenever the comparison asks for it.
    fn until_told(&mut self) -> u64 {
        for _ in 0..1000 {
            let at = self.compare.next_deadline().unwrap();
            self.after(at.saturating_sub(self.now));
            if let Some(waited) = hold_limit(self) {
                return waited;
            }
        }
        panic!("never told");
    }
}

#[test]
fn a_silent_secondary_that_is_usually_quick_is_noticed_in_milliseconds() {
    let mut world = World::used_to(MS);
    world.p(data(0, 100, b"x"));
    let waited = world.until_told();
    assert!((FLOOR..10 * MS).contains(&waited), "{waited}");
}

#[test]
fn nothing_known_gives_the_ceiling() {
    let mut world = World::connected();
    assert_eq!(world.limit(), HOLD);
    world.p(data(0, 100, b"x"));
    assert_eq!(world.until_told(), HOLD);
}

#[test]
fn a_transfer_that_falls_behind_but_moves_is_not_cut() {
    let mut world = World::used_to(MS);
    let (mut sent, mut answered) = (0, 0);
    for ms in (0..180).step_by(2) {
        if ms % 4 == 0 && sent < 30 {
            world.p(data(sent, 100, b"x"));
            sent += 1;
        }
        if ms % 6 == 4 {
            world.s(&data(answered, 100, b"x"));
            answered += 1;
        }
        world.after(2 * MS);
        assert_eq!(world.event(), None, "after {ms} ms, limit {}", world.limit());
    }
    assert_eq!((answered, world.payloads().len()), (30, 30));
    world.p(data(30, 100, b"x"));
    assert!(world.until_told() <= HOLD, "silence is told all the same");
}

#[test]
fn what_moves_on_one_connection_excuses_no_other() {
    let mut world = World::used_to(MS);
    world.p(data(0, 100, b"x"));
    for number in 1000..1010 {
        world.p(udp(number));
        world.s(&udp(number));
        world.after(MS);
    }
    assert!(hold_limit(&mut world).is_some());
}

#[test]
fn at_the_ceiling_it_is_told_even_if_it_moves() {
    let mut world = World::used_to(MS);
    let piece = [7; 200];
    world.p(data(0, 100, &piece));
    for byte in 0..100 {
        world.s(&data(byte, 100, &[7]));
        world.after(MS);
        let told = hold_limit(&mut world);
        assert_eq!(told, (byte == 99).then_some(HOLD), "after {byte} ms");
    }
}

#[test]
fn each_limit_reached_doubles_the_next_up_to_the_ceiling_and_agreement_brings_it_back() {
    let mut world = World::used_to(MS);
    let mut waits = Vec::new();
    for number in 1..8 {
        world.p(udp(number));
        waits.push(world.until_told());
        world.checkpoint(number.into());
    }
    assert!(
        waits.windows(2).all(|pair| pair[1] >= HOLD.min(2 * pair[0])),
        "{waits:?}"
    );
    assert_eq!(waits.last(), Some(&HOLD));
    for number in 0..5000 {
        world.p(udp(number));
        world.after(MS);
        world.s(&udp(number));
    }
    assert!(world.limit() < 10 * MS, "{}", world.limit());
}

#[test]
fn the_time_of_a_checkpoint_is_no_lag() {
    let mut world = World::used_to(MS);
    for number in 1..300 {
        world.cut(number);
        world.p(udp(number as u32));
        world.commit(number);
        world.after(50 * MS);
        // The frame comes before the word that the SVM runs.
        world.label = number + 1;
        world.s(&udp(number as u32));
        world.load(number);
        world.p(udp(0));
        world.after(MS);
        world.s(&udp(0));
    }
    assert!(world.limit() < 10 * MS, "{}", world.limit());
    world.checkpoint(300);
    assert!(world.limit() < 10 * MS, "{}", world.limit());
}

#[test]
fn after_a_checkpoint_it_may_be_late_until_it_has_caught_up() {
    let mut world = World::used_to(MS);
    let usual = world.limit();
    for number in 1..300 {
        world.checkpoint(number.into());
        for (frame, lag) in [(2 * number, 60 * MS), (2 * number + 1, MS)] {
            world.p(udp(frame));
            world.after(lag);
            world.s(&udp(frame));
        }
        assert_eq!((world.event(), world.limit()), (None, usual));
    }
    world.checkpoint(300);
    assert!(world.limit() > 60 * MS);
}

#[test]
fn flows_that_are_over_leave_no_looks_behind() {
    let mut world = World::used_to(MS);
    for port in 1..900_u16 {
        let mut route = route();
        route.destination.set_port(port);
        world.p(build::udp(route, b"a"));
        world.s(&build::udp(route, b"a"));
    }
    world.after(HOLD);
    assert_eq!((world.event(), world.compare.next_deadline()), (None, None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The SVM answers some frames, each after its own time, and then no more.
    #[test]
    fn never_before_the_floor_and_always_by_the_ceiling(
        lags in proptest::collection::vec(0..HOLD / 2, 0..400),
        gaps in proptest::collection::vec(0..30 * MS, 1..20),
    ) {
        let mut world = World::connected();
        for (number, lag) in (0..).zip(lags) {
            world.p(udp(number));
            let answer = world.now + lag;
            world.after(lag.min(FLOOR - 1));
            prop_assert_eq!(world.event(), None, "before the floor");
            world.after(answer - world.now);
            world.s(&udp(number));
            if hold_limit(&mut world).is_some() {
                let next = world.compare.epoch();
                world.checkpoint(next);
            }
        }
        let begin = world.now;
        for (number, gap) in (0..).zip(gaps) {
            world.p(data(number, 100, b"x"));
            world.after(gap);
        }
        world.after(HOLD.saturating_sub(world.now - begin));
        let waited = hold_limit(&mut world);
        prop_assert!(waited.is_some_and(|waited| waited >= FLOOR), "{:?}", waited);
    }
}
