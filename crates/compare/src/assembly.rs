//! IP fragments between two hosts: kept until their datagram is whole, which is then compared as if it had never been
//! cut, whatever the cutting and the order on either machine.
//!
//! What makes no datagram - pieces that overlap, too many of them, one that never comes - waits for a commit. The PVM's
//! frames are held and released as they came. Of the SVM only pieces of its present epoch count.

mod datagram;
mod side;

use colo_packet::{Fragment, Frame};

use crate::event::Difference;
use crate::held::Held;
use crate::hold::Patience;
use crate::mismatch::Mismatch;
use crate::outlet::Outlet;
use crate::table::{Mortal, Slot};
use datagram::State;
use side::Side;

/// Quiet for so long, it is over. Receivers wait no longer for the rest of a datagram (RFC 8200 section 4.5).
const LIFETIME: u64 = 60_000_000_000;

/// The fragments of both machines between two hosts.
#[derive(Debug)]
pub(crate) struct Assembly {
    epoch: u64,
    secondary_epoch: u64,
    primary: Side<Held>,
    secondary: Side<Vec<u8>>,
    patience: Patience,
}

impl Mortal for Assembly {
    const SHORTEST: u64 = LIFETIME;

    fn lifetime(&self) -> Option<u64> {
        self.primary.frames().is_empty().then_some(LIFETIME)
    }

    /// No piece waits on either side.
    fn is_spare(&self) -> bool {
        self.primary.frames().is_empty() && self.secondary.bytes() == 0
    }

    fn kept(&self) -> usize {
        self.secondary.bytes()
    }
}

impl Assembly {
    pub(crate) const fn new(slot: Slot, epoch: u64) -> Self {
        Self {
            epoch,
            secondary_epoch: epoch,
            primary: Side::new(true),
            secondary: Side::new(false),
            patience: Patience::new(slot),
        }
    }

    /// A fragment of the PVM. Returns its datagram when that is whole, with all fragments of it.
    pub(crate) fn primary(&mut self, frame: Frame, piece: &Fragment, outlet: &mut Outlet) -> Option<Held> {
        self.turn(outlet);
        let held = outlet.hold(frame);
        self.primary
            .forget_if_old(piece.id, outlet.now, outlet.limits.hold_ns);
        if self.primary.is_crowded(piece.id) {
            outlet.tell_queue_limit();
            self.keep(held, outlet);
            return None;
        }
        let held = self.timed(held, outlet);
        match self.primary.add(piece, held, outlet.now) {
            State::Whole => self.primary.take(piece.id).map(|whole| outlet.join(whole)),
            State::Full => {
                outlet.tell_queue_limit();
                None
            }
            State::Open | State::Spoiled => None,
        }
    }

    /// Keeps a frame of the PVM for a commit.
    pub(crate) fn keep(&mut self, held: Held, outlet: &mut Outlet) {
        let held = self.timed(held, outlet);
        self.primary.keep(held);
    }

    fn timed(&mut self, mut held: Held, outlet: &mut Outlet) -> Held {
        outlet.holds.start(&mut held, &mut self.patience, outlet.now);
        held
    }

    /// A fragment of the SVM, sent in `epoch`. Returns its datagram when that is whole.
    pub(crate) fn secondary(
        &mut self,
        epoch: u64,
        frame: &[u8],
        piece: &Fragment,
        outlet: &mut Outlet,
    ) -> Option<Vec<u8>> {
        if epoch < self.secondary_epoch {
            outlet.stats.late_secondary += 1;
            return None;
        }
        let before = self.secondary.bytes();
        if epoch > self.secondary_epoch {
            self.secondary_epoch = epoch;
            self.secondary.close();
        }
        let room = outlet.pending_room() + (before - self.secondary.bytes());
        let whole = if room < frame.len() {
            outlet.stats.unmatched_secondary += 1;
            outlet.tell_queue_limit();
            None
        } else {
            self.take_in(frame, piece, outlet)
        };
        outlet.pending = outlet.pending + self.secondary.bytes() - before;
        whole
    }

    fn take_in(&mut self, frame: &[u8], piece: &Fragment, outlet: &mut Outlet) -> Option<Vec<u8>> {
        let side = &mut self.secondary;
        side.forget_if_old(piece.id, outlet.now, outlet.limits.hold_ns);
        if side.is_crowded(piece.id) {
            side.forget_oldest();
            outlet.stats.unmatched_secondary += 1;
        }
        let state = side.add(piece, frame.to_vec(), outlet.now);
        if state == State::Whole {
            return side.take(piece.id).map(|whole| whole.frame);
        }
        while side.bytes() > outlet.limits.pending_bytes && side.forget_oldest() {
            outlet.stats.unmatched_secondary += 1;
        }
        None
    }

    /// A datagram that the PVM began in an epoch and ends in another is never whole: no state that the SVM starts from
    /// has both parts.
    fn turn(&mut self, outlet: &Outlet) {
        if self.epoch < outlet.epochs.current {
            self.epoch = outlet.epochs.current;
            self.primary.close();
        }
    }

    /// A checkpoint was committed: what the SVM has sent until then explains nothing new.
    pub(crate) fn committed(&mut self, outlet: &mut Outlet) {
        self.turn(outlet);
        if outlet.epochs.is_committed(self.secondary_epoch) {
            outlet.pending -= self.secondary.bytes();
            self.secondary.close();
        }
    }

    /// Takes out what `take` says, from the front.
    pub(crate) fn drain(&mut self, take: impl Fn(&Held) -> bool, into: &mut Vec<(u8, Held)>, nic: u8) {
        while let Some(held) = self.primary.pop_if(&take) {
            into.push((nic, held));
        }
    }

    /// Since when its oldest frame of this epoch waits.
    pub(crate) fn waits(&mut self, epoch: u64) -> (Option<u64>, &mut Patience) {
        let mut waiting = self.primary.frames().values();
        let oldest = waiting.find(|held| held.epoch == epoch);
        (oldest.and_then(|held| held.since), &mut self.patience)
    }

    /// What waits, and since when.
    pub(crate) fn missing(&self) -> Option<(u64, Mismatch)> {
        let frames = self.primary.frames();
        let first = frames.values().find_map(|held| held.since)?;
        let detail = format!("fragments that make no datagram: {}", frames.len());
        Some((first, Mismatch::told(Difference::Missing, detail)))
    }
}
