//! What comes out of the comparison: released frames and events, and the accounts of what is held.

use std::collections::VecDeque;

use colo_packet::Frame;

use crate::Limits;
use crate::divergence::{Divergence, Log};
use crate::epochs::Epochs;
use crate::event::Event;
use crate::fragments::Whole;
use crate::held::Held;
use crate::hold::HoldClock;
use crate::mismatch::Mismatch;
use crate::openings::Openings;
use crate::pair::Trouble;
use crate::queue::Segment;
use crate::spare::Spare;
use crate::stats::Stats;
use crate::table::{Key, Slot};

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

    /// A flow has got stuck in `epoch`; of an earlier epoch than the PVM's the checkpoint is under way already.
    /// `oldest`: since when its first frame waits.
    pub(crate) fn trouble(&mut self, key: Key, epoch: u64, oldest: Option<u64>, trouble: Trouble) {
        match trouble {
            Trouble::Differs(mismatch) => self.diverged(key, epoch, oldest, mismatch),
            Trouble::Full if epoch == self.epochs.current => self.tell_queue_limit(),
            Trouble::Full => {}
        }
    }

    pub(crate) fn diverged(&mut self, key: Key, epoch: u64, oldest: Option<u64>, mismatch: Mismatch) {
        self.stats.divergences += 1;
        self.note(key, epoch, oldest, mismatch.clone());
        if epoch == self.epochs.current && !self.has_told() {
            self.told = epoch;
            let Mismatch { kind, detail, .. } = mismatch;
            self.events.push_back(Event::Divergence {
                nic: key.nic,
                flow: key.flow,
                kind,
                detail,
            });
        }
    }

    pub(crate) fn note(&mut self, key: Key, epoch: u64, oldest: Option<u64>, mismatch: Mismatch) {
        self.log.note(Divergence {
            nic: key.nic,
            flow: key.flow,
            kind: mismatch.kind,
            epoch,
            at: self.now,
            held_ns: self.now.saturating_sub(oldest.unwrap_or(self.now)),
            offset: mismatch.offset,
            primary: mismatch.primary,
            secondary: mismatch.secondary,
            detail: mismatch.detail,
        });
    }

    pub(crate) fn suspect(&mut self, key: Key, epoch: u64, now: u64) {
        self.suspects.push_back(Suspect {
            key,
            epoch,
            look_at: now.saturating_add(REORDER_NS),
        });
    }

    pub(crate) fn tell_queue_limit(&mut self) {
        if self.told_queue < self.epochs.current {
            self.told_queue = self.epochs.current;
            self.stats.queue_limits += 1;
            let bytes = usize::try_from(self.stats.held_bytes).unwrap_or(usize::MAX);
            self.events.push_back(Event::QueueLimit { bytes });
        }
    }

    /// A divergence or hold limit of this epoch was told.
    pub(crate) const fn has_told(&self) -> bool {
        self.told >= self.epochs.current
    }

    /// Frames of the PVM's epoch can agree, and nobody was told that some do not.
    fn is_watching(&self) -> bool {
        self.epochs.running == self.epochs.current && !self.has_told()
    }

    /// When a flow may have been silent for too long.
    pub(crate) fn hold_deadline(&self) -> Option<u64> {
        self.holds.next().filter(|_| self.is_watching())
    }

    /// A flow whose waits have to be looked at.
    pub(crate) fn due(&mut self) -> Option<Slot> {
        let watching = self.is_watching();
        watching.then(|| self.holds.due(self.now)).flatten()
    }

    /// A connection whose client may have waited for too long.
    pub(crate) fn due_debt(&mut self) -> Option<Slot> {
        let watching = self.is_watching();
        watching.then(|| self.holds.due_debt(self.now)).flatten()
    }

    pub(crate) fn tell_hold_limit(&mut self, key: Key, waited_ns: u64) {
        self.told = self.epochs.current;
        self.stats.hold_limits += 1;
        self.events.push_back(Event::HoldLimit {
            nic: key.nic,
            flow: key.flow,
            waited_ns,
        });
    }
}
