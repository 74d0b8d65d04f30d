//! What is told of flows that get stuck, and when flows have to be looked at.

use super::{Outlet, REORDER_NS, Suspect};
use crate::divergence::Divergence;
use crate::event::Event;
use crate::mismatch::Mismatch;
use crate::pair::Trouble;
use crate::table::{Key, Slot};

impl Outlet {
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
                waited_ns: self.waited(oldest),
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
            held_ns: self.waited(oldest),
            offset: mismatch.offset,
            primary: mismatch.primary,
            secondary: mismatch.secondary,
            detail: mismatch.detail,
        });
    }

    /// Nanoseconds since then; 0 where nothing waits.
    fn waited(&self, since: Option<u64>) -> u64 {
        self.now.saturating_sub(since.unwrap_or(self.now))
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
