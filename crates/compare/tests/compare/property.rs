//! The release rule under arbitrary schedules.

use colo_compare::{Compare, Event, Limits};
use colo_packet::build::{self, Segment};
use colo_packet::{Offload, flag};
use proptest::prelude::*;

use crate::world::{MS, World, at, limits, offloaded, route, syn_ack, tcp};

/// Of virtio: complete the checksum, cut into segments of 20 bytes; headers are 58 bytes with the judge's option.
const CUT: [u8; Offload::LEN] = [1, 1, 58, 0, 20, 0, 34, 0, 16, 0, 0, 0];

#[derive(Clone, Debug)]
enum Step {
    /// The PVM or the SVM sends so many new bytes, or sends some again.
    Primary(u8),
    /// In a segment that is still to be cut.
    PrimaryLong(u8),
    PrimaryAgain(u8, u8),
    Secondary(u8),
    SecondaryAgain(u8, u8),
    /// Nothing, for long enough that the front of a long segment may go alone.
    Rest,
    Cut,
    Commit,
    Load,
}

fn steps(checkpoints: bool) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..60_u8).prop_map(Step::Primary),
        2 => (20..200_u8).prop_map(Step::PrimaryLong),
        1 => (any::<u8>(), 1..60_u8).prop_map(|(back, length)| Step::PrimaryAgain(back, length)),
        4 => (1..60_u8).prop_map(Step::Secondary),
        1 => (any::<u8>(), 1..60_u8).prop_map(|(back, length)| Step::SecondaryAgain(back, length)),
        2 => Just(Step::Rest),
        u32::from(checkpoints) => Just(Step::Cut),
        u32::from(checkpoints) => Just(Step::Commit),
        u32::from(checkpoints) => Just(Step::Load),
    ];
    proptest::collection::vec(step, 1..80)
}

/// The answer to a request, the same on both machines but for one byte of the SVM's.
fn byte(position: u32, wrong: Option<u32>) -> u8 {
    (position.wrapping_mul(2_654_435_761) >> 24) as u8 ^ u8::from(wrong == Some(position))
}

/// Two machines and a judge that knows what may be released.
struct Judge {
    world: World,
    wrong: Option<u32>,
    epoch: u64,
    committed: u64,
    /// The PVM's position at the end of each epoch, from 1.
    cuts: Vec<u32>,
    primary: u32,
    secondary: u32,
    /// Where the SVM began its epoch.
    began: u32,
    wire: Vec<u8>,
}

impl Judge {
    fn new(wrong: Option<u32>) -> Self {
        Self {
            world: World::connected(),
            wrong,
            epoch: 1,
            committed: 0,
            cuts: Vec::new(),
            primary: 0,
            secondary: 0,
            began: 0,
            wire: Vec::new(),
        }
    }

    /// An option (254 is for experiments, RFC 4727) tells the judge the epoch of a frame.
    fn frame(&self, from: u32, to: u32, wrong: Option<u32>) -> Vec<u8> {
        let payload: Vec<u8> = (from..to).map(|position| byte(position, wrong)).collect();
        let options = [254, 4, (self.epoch >> 8) as u8, self.epoch as u8];
        build::tcp(
            route(),
            &Segment {
                seq: at(from),
                ack: 100,
                flags: flag::ACK,
                window: 500,
                payload: &payload,
                options: &options,
            },
        )
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Primary(length) => {
                let from = self.primary;
                self.primary += u32::from(length);
                self.world.p(self.frame(from, self.primary, None));
            }
            Step::PrimaryLong(length) => {
                let from = self.primary;
                self.primary += u32::from(length);
                let frame = offloaded(CUT, &self.frame(from, self.primary, None));
                self.world.compare.primary(0, frame, self.world.now);
            }
            Step::PrimaryAgain(back, length) => {
                let from = self.primary.saturating_sub(u32::from(back));
                let to = self.primary.min(from + u32::from(length));
                self.world.p(self.frame(from, to, None));
            }
            Step::Secondary(length) => {
                let from = self.secondary;
                self.secondary += u32::from(length);
                let frame = self.frame(from, self.secondary, self.wrong);
                self.world.s(&frame);
            }
            Step::SecondaryAgain(back, length) => {
                let from = self.secondary.saturating_sub(u32::from(back)).max(self.began);
                let to = self.secondary.min(from + u32::from(length));
                let frame = self.frame(from, to, self.wrong);
                self.world.s(&frame);
            }
            Step::Rest => self.world.after(MS),
            Step::Cut => self.cut(),
            Step::Commit => self.commit(),
            Step::Load => self.load(),
        }
        self.judge();
    }

    fn cut(&mut self) {
        if self.committed + 1 == self.epoch && self.world.label == self.epoch {
            self.world.cut(self.epoch);
            self.cuts.push(self.primary);
            self.epoch += 1;
        }
    }

    fn commit(&mut self) {
        if self.committed + 1 < self.epoch {
            self.committed += 1;
            self.world.commit(self.committed);
        }
    }

    fn load(&mut self) {
        if self.world.label <= self.committed {
            self.world.load(self.committed);
            self.began = self.cuts[self.committed as usize - 1];
            self.secondary = self.began;
        }
    }

    fn judge(&mut self) {
        for frame in self.world.released() {
            let tcp = tcp(&frame);
            if tcp.payload.is_empty() {
                continue;
            }
            let epoch = u64::from(u16::from_be_bytes([tcp.options[2], tcp.options[3]]));
            let start = tcp.seq.wrapping_sub(at(0));
            let end = start + tcp.payload.len() as u32;
            self.check(epoch, end);
            assert!(
                start as usize <= self.wire.len(),
                "a hole in what the client sees"
            );
            let known = self.wire.len() - start as usize;
            assert!(
                self.wire[start as usize..]
                    .iter()
                    .zip(tcp.payload)
                    .all(|(a, b)| a == b)
            );
            self.wire.extend(tcp.payload.iter().skip(known));
        }
    }

    fn check(&self, epoch: u64, end: u32) {
        let gone = end as usize <= self.wire.len();
        let committed = epoch <= self.committed;
        // What the SVM says of an old epoch explains nothing beyond the cut.
        let said = self
            .wrong
            .filter(|wrong| *wrong >= self.began)
            .unwrap_or(u32::MAX)
            .min(self.secondary);
        let began = epoch.checked_sub(2).map_or(0, |index| self.cuts[index as usize]);
        let agreed = epoch == self.committed + 1
            && (end <= began || gone || (self.world.label == epoch && end <= said));
        assert!(
            committed || agreed,
            "epoch {epoch}, end {end}: nobody could explain it"
        );
    }

    /// The checkpoint under way ends, and the SVM catches up.
    fn finish(&mut self) {
        self.step(&Step::Commit);
        self.step(&Step::Load);
        while self.secondary < self.primary {
            let length = (self.primary - self.secondary).min(50) as u8;
            self.step(&Step::Secondary(length));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_streams_go_completely_however_they_are_cut_and_mixed(steps in steps(false)) {
        let mut judge = Judge::new(None);
        steps.iter().for_each(|step| judge.step(step));
        judge.finish();
        let all: Vec<u8> = (0..judge.primary).map(|position| byte(position, None)).collect();
        prop_assert_eq!(&judge.wire, &all);
        prop_assert_eq!(judge.world.event(), None);
        prop_assert_eq!(judge.world.compare.stats().held_frames, 0);
    }

    #[test]
    fn with_checkpoints_equal_streams_go_completely_and_nothing_goes_unexplained(steps in steps(true)) {
        let mut judge = Judge::new(None);
        steps.iter().for_each(|step| judge.step(step));
        judge.finish();
        prop_assert_eq!(judge.wire.len() as u32, judge.primary);
        prop_assert_eq!(judge.world.event(), None);
        prop_assert_eq!(judge.world.compare.stats().held_frames, 0);
    }

    #[test]
    fn a_differing_byte_never_goes_before_a_commit(steps in steps(true), wrong in 0..600_u32) {
        let mut judge = Judge::new(Some(wrong));
        steps.iter().for_each(|step| judge.step(step));
        judge.finish();
        if wrong >= judge.began && wrong < judge.primary {
            prop_assert!(judge.wire.len() as u32 <= wrong);
            let told = std::iter::from_fn(|| judge.world.event()).any(|event| matches!(event, Event::Divergence { .. }));
            prop_assert!(told);
        }
    }

    #[test]
    fn any_bytes_are_survived_and_go_with_the_commit(
        frames in proptest::collection::vec((any::<bool>(), 0..3_u64, noise()), 1..60),
    ) {
        let small = Limits { pending_bytes: 100, flows: 5, ..limits() };
        let mut compare = Compare::new(small);
        let mut sent = 0;
        for (index, (primary, epoch, frame)) in frames.into_iter().enumerate() {
            let now = index as u64 * 1_000_000;
            if primary {
                sent += 1;
                compare.primary(0, frame, now);
            } else {
                compare.secondary(0, epoch, &frame, now);
            }
            if index == 30 {
                compare.cut(1, now);
            }
            compare.on_time(now);
        }
        compare.cut(2, 0);
        compare.commit(2, 0);
        let stats = compare.stats();
        let released = stats.released_agreed + stats.released_commit + stats.released_passed;
        prop_assert_eq!((stats.held_frames, stats.held_bytes), (0, 0));
        prop_assert!(released + stats.replaced_acks >= sent);
    }
}

/// Random bytes, and segments with random numbers on few connections.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let segment = (
        any::<u8>(),
        0..2_u16,
        0..300_u32,
        any::<u32>(),
        proptest::collection::vec(any::<u8>(), 0..90),
    );
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100),
        segment.prop_map(|(flags, port, seq, ack, payload)| {
            let mut route = route();
            route.destination.set_port(port);
            let seq = seq.wrapping_sub(150);
            build::tcp(
                route,
                &Segment {
                    seq,
                    ack,
                    flags,
                    payload: &payload,
                    ..Segment::default()
                },
            )
        }),
        Just(syn_ack(4, 7)),
    ]
}
