//! The comparison as its users see it: it finds the flow of a frame and keeps the epochs.

mod clock;
mod frames;

use std::collections::VecDeque;

use colo_packet::Frame;

use crate::divergence::Log;
use crate::event::Event;
use crate::flow::Flows;
use crate::held::Held;
use crate::outlet::{Outlet, Why};
use crate::stats::Stats;

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
        ready.sort_by_key(|(_, held)| held.serial);
        for (nic, held) in ready {
            self.outlet.release(nic, held, why);
        }
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
