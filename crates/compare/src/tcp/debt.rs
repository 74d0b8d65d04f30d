//! How long the client has been waiting for an acknowledgement or a window that the PVM has given it.
//!
//! An SVM that is late says it in time. One that never does - it has dropped a segment, or its program does not read -
//! would leave a client that can only wait waiting for ever, so that ends in a checkpoint. See docs/packets.md.

use super::Connection;
use crate::event::Difference;
use crate::mismatch::Mismatch;
use crate::offers::Offer;
use crate::outlet::Outlet;
use crate::queue::Kind;
use crate::table::Key;

/// Something of the PVM that the client misses.
#[derive(Debug, Default)]
pub(super) struct Debt {
    /// Since when the client has heard nothing new, and what it heard last.
    since: Option<u64>,
    told: Option<Offer>,
    /// Somebody will look.
    watched: bool,
}

impl Debt {
    /// The connection is another one.
    pub(super) const fn forgive(&mut self) {
        self.since = None;
    }
}

impl Connection {
    /// After all that could be told was told.
    pub(super) fn count_debt(&mut self, outlet: &mut Outlet) {
        if self.wanted().is_none_or(|want| !self.offers.owes(want)) {
            self.debt.since = None;
            return;
        }
        let told = self.offers.last_told();
        if self.debt.since.is_none() || self.debt.told != told {
            (self.debt.since, self.debt.told) = (Some(outlet.now), told);
        }
        if !self.debt.watched {
            self.debt.watched = true;
            outlet.holds.watch_debt(&self.patience, outlet.now);
        }
    }

    /// What the PVM has said and the client does not know.
    fn wanted(&self) -> Option<Offer> {
        match self.queue.front() {
            Some(front) if matches!(front.said.kind, Kind::Ack { .. }) => front.said.offer,
            _ => self.owed.as_ref().map(|owed| owed.want),
        }
    }

    /// The client may have waited for too long.
    pub(crate) fn look_at_debt(&mut self, key: Key, outlet: &mut Outlet) {
        let due = self.debt.since.zip(self.wanted());
        let Some((since, want)) = due else {
            self.debt.watched = false;
            return;
        };
        // As with all waits, not before the SVM could answer.
        if outlet
            .holds
            .watch_debt_of(&self.patience, since.max(outlet.epochs.running_since), outlet.now)
        {
            let mismatch = self.describe_debt(want);
            outlet.diverged(key, outlet.epochs.current, Some(since), mismatch);
        }
    }

    fn describe_debt(&self, want: Offer) -> Mismatch {
        let secondary = match self.offers.of_secondary() {
            Some(offer) => format!("{} with window {}", offer.ack, offer.window),
            None => "nothing".to_owned(),
        };
        let detail = format!(
            "the primary acknowledges {} with window {}, the secondary {secondary}",
            want.ack, want.window
        );
        Mismatch::told(Difference::Acknowledgement, detail)
    }
}
