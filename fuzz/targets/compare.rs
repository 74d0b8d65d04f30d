//! The comparison under any frames, calls and times: no panic, bounded memory, nothing released for no reason, all
//! accounts right, and everything goes with the last commit.
#![no_main]

use colo_compare::{Compare, Event, Limits};
use colo_fuzz::{Frame, offloaded};
use colo_packet::Offload;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const MS: u64 = 1_000_000;
const STEPS: usize = 200;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Primary(Frame<'a>),
    /// With what its card is to do to it.
    Offloaded([u8; Offload::LEN], Frame<'a>),
    /// The epoch is this one's less the number.
    Secondary(Frame<'a>, u8),
    /// Both say the same.
    Both(Frame<'a>),
    Cut,
    Commit,
    Loaded,
    /// What the agent should never do: any number.
    Odd(u8, u64),
    Wait(u8),
    Alone,
}

struct World {
    compare: Compare,
    now: u64,
    epoch: u64,
    committed: u64,
    /// Nothing but the PVM has been heard.
    monologue: bool,
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut world = World {
        compare: Compare::new(Limits {
            hold_ns: 50 * MS,
            held_bytes: 20_000,
            flows: 6,
            pending_bytes: 4000,
        }),
        now: 1000 * MS,
        epoch: 1,
        committed: 0,
        monologue: true,
    };
    for step in steps.iter().take(STEPS) {
        world.step(step);
        world.look();
    }
    world.finish();
});

impl World {
    fn step(&mut self, step: &Step<'_>) {
        self.now += MS / 10;
        let (now, compare) = (self.now, &mut self.compare);
        match step {
            Step::Primary(frame) => compare.primary(0, frame.bytes(), now),
            Step::Offloaded(header, frame) => {
                if let Some(frame) = offloaded(*header, frame.bytes()) {
                    compare.primary(0, frame, now);
                }
            }
            Step::Secondary(frame, back) => {
                self.monologue = false;
                compare.secondary(
                    0,
                    self.epoch.saturating_sub(u64::from(*back % 4)),
                    &frame.bytes(),
                    now,
                );
            }
            Step::Both(frame) => {
                self.monologue = false;
                compare.primary(1, frame.bytes(), now);
                compare.secondary(1, self.epoch, &frame.bytes(), now);
            }
            Step::Cut => {
                compare.cut(self.epoch, now);
                self.epoch += 1;
            }
            Step::Commit => {
                self.monologue = false;
                self.committed = (self.committed + 1).min(self.epoch - 1);
                compare.commit(self.committed, now);
            }
            Step::Loaded => compare.loaded(self.committed, now),
            Step::Odd(call, number) => self.odd(*call, *number),
            Step::Wait(ms) => {
                self.now += u64::from(*ms) * MS;
                compare.on_time(self.now);
            }
            Step::Alone => {
                self.monologue = false;
                compare.alone(now);
            }
        }
    }

    /// Numbers that fit nothing; they must not undo what was said before.
    fn odd(&mut self, call: u8, number: u64) {
        let past = number % self.epoch;
        match call % 4 {
            0 => self.compare.cut(past, self.now),
            1 => self.compare.commit(self.epoch.saturating_add(number), self.now),
            2 => self.compare.loaded(number, self.now),
            _ => self
                .compare
                .secondary(0, number.max(self.epoch + 1), &[], self.now),
        }
    }

    fn look(&mut self) {
        let stats = self.compare.stats();
        assert!(stats.flows <= 6, "more flows than allowed");
        if self.monologue {
            assert_eq!(stats.released_agreed, 0, "agreement without a second voice");
            assert_eq!(stats.released_commit, 0, "a commit that never was");
        }
        while let Some(event) = self.compare.pop_event() {
            if let Event::Divergence { detail, .. } = event {
                assert!(detail.len() < 300, "a long story: {detail}");
            }
        }
        while self.compare.pop_release().is_some() {}
    }

    fn finish(mut self) {
        self.compare.cut(self.epoch, self.now);
        self.compare.commit(self.epoch, self.now);
        let stats = self.compare.stats();
        assert_eq!(
            (stats.held_frames, stats.held_bytes),
            (0, 0),
            "something is held for ever: {stats:?}"
        );
        let released = stats.released_agreed + stats.released_commit + stats.released_passed;
        assert!(
            released + stats.replaced_acks >= stats.primary_frames,
            "something is lost: {stats:?}"
        );
    }
}
