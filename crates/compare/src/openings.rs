//! Connections that the guest opens itself.
//!
//! Each copy picks the source port on its own, so the same connection can have two. Nothing in the frames tells which
//! belong together; when both copies open one to the same peer and neither has a twin, that is told as such.

use std::collections::VecDeque;

use colo_packet::FlowKey;

use crate::outlet::REORDER_NS;
use crate::pair::Speaker;
use crate::table::Key;

/// Openings without a twin kept of either side; the oldest go. One pair is enough for a checkpoint.
const KEPT: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Opening {
    key: Key,
    since: u64,
}

/// SYNs of either side that the other one has not sent, in this epoch.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    primary: VecDeque<Opening>,
    secondary: VecDeque<Opening>,
    /// When two of them are too old for coming in another order.
    due: Option<u64>,
}

impl Openings {
    /// A SYN without a twin.
    pub(crate) fn note(&mut self, who: Speaker, key: Key, now: u64) {
        let mine = match who {
            Speaker::Primary => &mut self.primary,
            Speaker::Secondary => &mut self.secondary,
        };
        if mine.iter().any(|opening| opening.key == key) {
            return;
        }
        if mine.len() >= KEPT {
            mine.pop_front();
        }
        mine.push_back(Opening { key, since: now });
        if self.due.is_none() && self.pairs().next().is_some() {
            self.due = Some(now.saturating_add(REORDER_NS));
        }
    }

    /// The twin has come.
    pub(crate) fn met(&mut self, key: Key) {
        self.primary.retain(|opening| opening.key != key);
        self.secondary.retain(|opening| opening.key != key);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When to call [`Openings::differing`].
    pub(crate) const fn due(&self) -> Option<u64> {
        self.due
    }

    /// The PVM's connection and the SVM's that nothing but the port tells apart, both old enough.
    pub(crate) fn differing(&mut self, now: u64) -> Option<(Key, FlowKey)> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let ripe =
            |(one, other): &(&Opening, &Opening)| one.since.max(other.since).saturating_add(REORDER_NS);
        let first = self.pairs().min_by_key(ripe);
        let due = first.as_ref().map(ripe);
        let found = first.map(|(primary, secondary)| (primary.key, secondary.key.flow));
        self.due = due;
        found.filter(|_| due.is_some_and(|due| due <= now))
    }

    fn pairs(&self) -> impl Iterator<Item = (&Opening, &Opening)> {
        let peer = |opening: &Opening| (opening.key.nic, opening.key.flow.of_any_guest_port());
        self.primary.iter().flat_map(move |primary| {
            let mine = peer(primary);
            let same = self.secondary.iter().filter(move |other| peer(other) == mine);
            same.map(move |secondary| (primary, secondary))
        })
    }
}
