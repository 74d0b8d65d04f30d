//! Messages that only one machine has sent: late, in another order, or different.

use super::{Extra, Lane, Waiting, body_of};
use crate::event::Difference;
use crate::mismatch::Mismatch;
use crate::outlet::{Outlet, REORDER_NS};
use crate::table::Key;

impl Lane {
    /// If both sides hold what the other has not sent, somebody looks again when reordering is no excuse any more.
    pub(super) fn suspect(&mut self, key: Key, now: u64, outlet: &mut Outlet) {
        if !self.suspected && self.oldest_pair().is_some() {
            self.suspected = true;
            outlet.suspect(key, self.epoch, now);
        }
    }

    /// The oldest unmatched message of either side in this epoch.
    fn oldest_pair(&self) -> Option<(&Waiting, &Extra)> {
        let waiting = self
            .queue
            .iter()
            .find(|waiting| !waiting.matched && waiting.held.epoch == self.epoch)?;
        Some((waiting, self.extras.front()?))
    }

    /// The second look.
    pub(crate) fn look_again(&mut self, key: Key, epoch: u64, now: u64, outlet: &mut Outlet) {
        if !self.suspected || self.epoch != epoch || epoch < outlet.epochs.current {
            return;
        }
        let Some((waiting, extra)) = self.oldest_pair() else {
            self.suspected = false;
            return;
        };
        if waiting.since.max(extra.since).saturating_add(REORDER_NS) > now {
            outlet.suspect(key, self.epoch, now);
            return;
        }
        // Stays suspected: once per epoch is enough.
        let bodies = body_of(&waiting.held.frame).zip(body_of(&extra.frame));
        if let Some((primary, secondary)) = bodies {
            let mismatch = Mismatch::bytes(
                Difference::Message,
                0,
                &primary.parts().concat(),
                &secondary.parts().concat(),
            );
            let oldest = waiting.held.since;
            outlet.diverged(key, self.epoch, oldest, mismatch);
        }
    }

    /// What of the PVM waits for the SVM, and since when.
    pub(crate) fn missing(&self) -> Option<(u64, Mismatch)> {
        let waiting = self
            .queue
            .iter()
            .find(|waiting| !waiting.matched && waiting.held.since.is_some())?;
        let message = body_of(&waiting.held.frame)?.parts().concat();
        let detail = format!(
            "the secondary has sent no such message of {} bytes",
            message.len()
        );
        let mismatch = Mismatch::missing(Difference::Missing, Some(0), &message, detail);
        Some((waiting.held.since?, mismatch))
    }
}
