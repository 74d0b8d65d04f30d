//! What comes out of the comparison: released frames, and the accounts of what is held.

mod told;

use std::collections::VecDeque;

use colo_packet::{Frame, divide};

use crate::Limits;
use crate::divergence::Log;
use crate::epochs::Epochs;
use crate::event::Event;
use crate::fragments::Whole;
use crate::held::Held;
use crate::hold::HoldClock;
use crate::openings::Openings;
use crate::queue::Segment;
use crate::spare::Spare;
use crate::stats::Stats;
use crate::table::Key;

/// Messages that neither side has matched wait so long for reordering before they count as different.
pub(crate) const REORDER_NS: u64 = 2_000_000;

/// Bytes of all flows that may wait for the other machine.
const PENDING: usize = 16 << 20;

/// Why a frame may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Agreed,
    Committed,
    Passed,
}

/// A flow in which both sides have unmatched messages, and when to look again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspect {
    pub key: Key,
    pub epoch: u64,
    pub look_at: u64,
}

/// Everything that all flows share.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub limits: Limits,
    pub epochs: Epochs,
    pub stats: Stats,
    pub holds: HoldClock,
    pub released: VecDeque<(u8, Frame)>,
    pub events: VecDeque<Event>,
    pub suspects: VecDeque<Suspect>,
    pub openings: Openings,
    pub log: Log,
    /// Bytes of all flows that wait for the other machine, and how many may.
    pub pending: usize,
    pub pending_limit: usize,
    pub spare: Spare<u8>,
    pub spare_queues: Spare<Segment>,
    /// Of the call that is being served.
    pub now: u64,
    serial: u64,
    /// The epoch of the last divergence or hold limit told, and of the last queue limit.
    told: u64,
    told_queue: u64,
}

impl Outlet {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            epochs: Epochs::new(),
            stats: Stats::default(),
            holds: HoldClock::new(limits.hold_ns),
            released: VecDeque::new(),
            events: VecDeque::new(),
            suspects: VecDeque::new(),
            openings: Openings::default(),
            log: Log::default(),
            pending: 0,
            pending_limit: PENDING,
            spare: Spare::default(),
            spare_queues: Spare::default(),
            now: 0,
            serial: 0,
            told: 0,
            told_queue: 0,
        }
    }

    /// Takes charge of a frame of the current epoch.
    pub(crate) fn hold(&mut self, frame: Frame) -> Held {
        self.serial += 1;
        self.stats.held_frames += 1;
        self.stats.held_bytes += frame.len() as u64;
        if self.full() {
            self.tell_queue_limit();
        }
        Held {
            frame,
            fragments: None,
            serial: self.serial,
            epoch: self.epochs.current,
            since: None,
        }
    }

    /// Fragments that wait become a datagram, which has come with the last of them.
    pub(crate) fn join(&mut self, whole: Whole) -> Held {
        self.serial += 1;
        Held {
            frame: whole.frame.into(),
            fragments: Some(Box::new(whole.fragments)),
            serial: self.serial,
            epoch: self.epochs.current,
            since: None,
        }
    }

    pub(crate) fn release(&mut self, nic: u8, held: Held, why: Why) {
        if why == Why::Agreed {
            self.holds.agreed(&held, &self.epochs, self.now);
        }
        self.discharge(&held);
        if why == Why::Agreed && self.stats.held_frames == 0 {
            self.holds.caught_up();
        }
        match held.fragments {
            None => self.send(nic, held.frame, why),
            Some(fragments) => fragments
                .rendered(&held.frame)
                .for_each(|frame| self.send(nic, frame, why)),
        }
    }

    /// Takes the front off a long segment that waits, see [`colo_packet::divide`].
    pub(crate) fn divide(&mut self, held: &mut Held, payload: usize) -> Option<Held> {
        let before = held.bytes();
        let front = Held {
            frame: divide(&mut held.frame, payload)?,
            fragments: None,
            ..*held
        };
        self.stats.divided += 1;
        self.stats.held_frames += 1;
        self.stats.held_bytes += front.bytes() + held.bytes() - before;
        Some(front)
    }

    /// Drops an acknowledgement that a newer segment made needless.
    pub(crate) fn replace(&mut self, held: &Held) {
        self.stats.replaced_acks += held.frames();
        self.discharge(held);
    }

    /// Ends the wait of a frame.
    fn discharge(&mut self, held: &Held) {
        self.stats.held_frames -= held.frames();
        self.stats.held_bytes -= held.bytes();
    }

    pub(crate) fn send(&mut self, nic: u8, frame: impl Into<Frame>, why: Why) {
        match why {
            Why::Agreed => self.stats.released_agreed += 1,
            Why::Committed => self.stats.released_commit += 1,
            Why::Passed => self.stats.released_passed += 1,
        }
        self.released.push_back((nic, frame.into()));
    }

    /// No more frames should be taken from the PVM.
    pub(crate) fn full(&self) -> bool {
        self.stats.held_bytes >= self.limits.held_bytes as u64
    }

    /// Bytes that may still be kept for any flow.
    pub(crate) const fn pending_room(&self) -> usize {
        self.pending_limit.saturating_sub(self.pending)
    }
}
