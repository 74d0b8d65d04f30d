//! The comparison as its users see it: it finds the flow of a frame and keeps the epochs.

use std::collections::VecDeque;

use colo_packet::{Direction, Frame, Item, classify};

use crate::divergence::Log;
use crate::event::{Difference, Event};
use crate::flow::Flows;
use crate::hold::{Held, Look};
use crate::mismatch::Mismatch;
use crate::outlet::{Outlet, Why};
use crate::queue::Segment;
use crate::stats::Stats;
use crate::table::Key;

/// Flows looked at per `on_time` for being over.
const SWEEP: usize = 32;

/// What may be kept, and how long a frame may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest that a frame may wait for the SVM, in nanoseconds. How long it may, see docs/hold-limit.md.
    pub hold_ns: u64,
    /// Bytes of held frames at which [`Compare::full`] says so.
    pub held_bytes: usize,
    /// Flows known. Frames of further ones wait for a commit.
    pub flows: usize,
    /// Bytes per flow and side that the other side has not produced yet. Beyond, the flow waits for a commit.
    pub pending_bytes: usize,
}

/// Holds, compares and releases the frames of one VM, all its network cards.
#[derive(Debug)]
pub struct Compare {
    flows: Flows,
    outlet: Outlet,
    /// Frames of flows for which there was no room.
    unknown: VecDeque<(u8, Held)>,
    alone: bool,
}

impl Compare {
    /// In epoch 1, with a secondary.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            flows: Flows::new(limits.flows),
            outlet: Outlet::new(limits),
            unknown: VecDeque::new(),
            alone: false,
        }
    }

    /// With another bound than 16 MiB on the bytes of all flows together that one machine has produced and the other
    /// has not. Beyond, a flow waits for a commit.
    #[must_use]
    pub const fn with_total_pending(mut self, bytes: usize) -> Self {
        self.outlet.pending_limit = bytes;
        self
    }

    /// A frame of the PVM, in the current epoch.
    pub fn primary(&mut self, nic: u8, frame: impl Into<Frame>, now: u64) {
        let frame = frame.into();
        self.outlet.stats.primary_frames += 1;
        self.outlet.now = now;
        if self.alone {
            return self.outlet.send(nic, frame, Why::Passed);
        }
        self.settle();
        match classify(&frame, Direction::Outgoing) {
            Item::Chore => self.outlet.send(nic, frame, Why::Passed),
            Item::Tcp(tcp) => {
                let key = Key { nic, flow: tcp.flow };
                let Some(connection) = self.flows.connection(key, self.new_flow(), now) else {
                    return self.hold_unknown(nic, frame);
                };
                let said = connection.primary(key, &tcp, &mut self.outlet);
                let segment = Segment {
                    held: self.outlet.hold(frame),
                    said,
                    stale: false,
                };
                connection.hold(key, segment, now, &mut self.outlet);
            }
            Item::Message { flow, body } => {
                let key = Key { nic, flow };
                let Some(lane) = self.flows.lane(key, self.new_flow(), now) else {
                    return self.hold_unknown(nic, frame);
                };
                let hash = lane.hash(&body);
                lane.primary(key, frame, hash, now, &mut self.outlet);
            }
        }
    }

    /// A frame of the SVM, produced in `epoch`, its sequence numbers translated already.
    pub fn secondary(&mut self, nic: u8, epoch: u64, frame: &[u8], now: u64) {
        self.outlet.stats.secondary_frames += 1;
        self.outlet.now = now;
        if self.alone {
            return;
        }
        if epoch > self.outlet.epochs.current {
            self.outlet.stats.early_secondary += 1;
            return;
        }
        if self.outlet.epochs.is_committed(epoch) {
            self.outlet.stats.late_secondary += 1;
            return;
        }
        self.settle();
        // To a flow that the PVM did not have in an epoch that is over the SVM can add nothing.
        let begin = self.new_flow().filter(|current| *current == epoch);
        match classify(frame, Direction::Outgoing) {
            Item::Chore => {}
            Item::Tcp(tcp) => {
                let key = Key { nic, flow: tcp.flow };
                if let Some(connection) = self.flows.connection(key, begin, now) {
                    connection.secondary(key, epoch, frame, &tcp, &mut self.outlet);
                }
            }
            Item::Message { flow, body } => {
                let key = Key { nic, flow };
                if let Some(lane) = self.flows.lane(key, begin, now) {
                    lane.secondary(key, epoch, frame, &body, now, &mut self.outlet);
                }
            }
        }
    }

    /// The epoch in which a new flow begins. None does while frames of unknown ones wait: one of them could be an
    /// earlier frame of the same.
    fn new_flow(&self) -> Option<u64> {
        self.unknown.is_empty().then_some(self.outlet.epochs.current)
    }

    /// Without room for its flow a frame waits for a commit, and so do all later ones of new flows.
    fn hold_unknown(&mut self, nic: u8, frame: Frame) {
        let held = self.outlet.hold(frame);
        self.unknown.push_back((nic, held));
        self.outlet.tell_queue_limit();
    }

    /// The PVM's frames from here on belong to epoch `checkpoint` + 1. Ends [`Compare::alone`].
    pub fn cut(&mut self, checkpoint: u64, _now: u64) {
        self.alone = false;
        self.outlet.epochs.cut(checkpoint);
        self.outlet.openings.clear();
    }

    /// The secondary holds `checkpoint`: what was sent before its cut may go, in the order it came.
    pub fn commit(&mut self, checkpoint: u64, now: u64) {
        self.outlet.now = now;
        self.outlet.epochs.commit(checkpoint);
        let committed = self.outlet.epochs.committed;
        self.release_all(|held| held.epoch <= committed, Why::Committed);
        for (key, flow) in self.flows.iter_mut() {
            flow.committed(key, &mut self.outlet);
        }
    }

    /// The SVM runs epoch `checkpoint` + 1 since `now`: hold limits count from here at the earliest.
    pub fn loaded(&mut self, checkpoint: u64, now: u64) {
        self.outlet.epochs.loaded(checkpoint, now);
        self.outlet.holds.loaded();
    }

    /// There is no secondary any more: everything may go, later frames pass at once.
    pub fn alone(&mut self, _now: u64) {
        self.alone = true;
        self.release_all(|_| true, Why::Passed);
        for (key, flow) in self.flows.iter_mut() {
            flow.alone(key.nic, &mut self.outlet);
        }
        self.flows.clear();
        self.outlet.pending = 0;
        self.outlet.suspects.clear();
        self.outlet.openings.clear();
        self.outlet.holds.clear();
    }

    fn release_all(&mut self, take: impl Fn(&Held) -> bool, why: Why) {
        let mut ready = Vec::new();
        for (key, flow) in self.flows.iter_mut() {
            flow.drain(&take, &mut ready, key.nic);
        }
        while self.unknown.front().is_some_and(|(_, held)| take(held)) {
            ready.extend(self.unknown.pop_front());
        }
        ready.sort_unstable_by_key(|(_, held)| held.serial);
        for (nic, held) in ready {
            self.outlet.release(nic, held, why);
        }
    }

    /// Looks at the clock: hold limits, messages that differ, flows that are over.
    pub fn on_time(&mut self, now: u64) {
        self.outlet.now = now;
        self.look_at_waits();
        while self
            .outlet
            .suspects
            .front()
            .is_some_and(|suspect| suspect.look_at <= now)
        {
            let Some(suspect) = self.outlet.suspects.pop_front() else {
                break;
            };
            if let Some(lane) = self.flows.lane(suspect.key, None, now) {
                lane.look_again(suspect.key, suspect.epoch, now, &mut self.outlet);
            }
        }
        self.check_openings(now);
        self.flows.sweep(now, SWEEP);
        self.settle();
    }

    /// What was forgotten does not wait any more.
    const fn settle(&mut self) {
        self.outlet.pending -= self.flows.take_freed();
    }

    fn check_openings(&mut self, now: u64) {
        let Some((key, other)) = self.outlet.openings.differing(now) else {
            return;
        };
        self.outlet.openings.met(key);
        let oldest = self
            .flows
            .connection(key, None, now)
            .and_then(|connection| connection.oldest());
        let detail = format!(
            "the primary opens it from port {}, the secondary from port {}",
            key.flow.guest_port(),
            other.guest_port()
        );
        let mismatch = Mismatch::told(Difference::Ports, detail);
        self.outlet
            .diverged(key, self.outlet.epochs.current, oldest, mismatch);
    }

    fn look_at_waits(&mut self) {
        while let Some(key) = self.outlet.due() {
            let Some(flow) = self.flows.look_at(key) else {
                continue;
            };
            let Look::Over { waited_ns } = flow.look(key, &mut self.outlet) else {
                continue;
            };
            self.outlet.tell_hold_limit(key, waited_ns);
            if let Some((since, mismatch)) = flow.missing() {
                let epoch = self.outlet.epochs.current;
                self.outlet.note(key, epoch, Some(since), mismatch);
            }
        }
    }

    /// When [`Compare::on_time`] is next needed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let suspect = self.outlet.suspects.front().map(|suspect| suspect.look_at);
        let doubts = [suspect, self.outlet.openings.due()];
        let doubts = doubts.into_iter().flatten().min();
        [
            self.outlet.hold_deadline(),
            doubts.filter(|_| !self.outlet.has_told()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A frame for the uplink of a network card.
    pub fn pop_release(&mut self) -> Option<(u8, Frame)> {
        self.outlet.released.pop_front()
    }

    /// Something to act on. To be asked after every call, before released frames are sent.
    pub fn pop_event(&mut self) -> Option<Event> {
        self.outlet.events.pop_front()
    }

    /// What diverged since the last call.
    pub fn take_log(&mut self) -> Log {
        std::mem::take(&mut self.outlet.log)
    }

    /// The epoch that the PVM is in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.outlet.epochs.current
    }

    /// As much is held as may be: take no more frames from the VM.
    #[must_use]
    pub fn full(&self) -> bool {
        self.outlet.full()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            pending_bytes: self.outlet.pending as u64,
            flows: self.flows.len() as u64,
            hold_limit_ns: self.outlet.holds.limit(),
            lag_p99_ns: self.outlet.holds.lag_p99(),
            ..self.outlet.stats
        }
    }
}
