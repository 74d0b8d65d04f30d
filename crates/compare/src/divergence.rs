//! What is remembered of each divergence, for people: which flow, what, a few bytes of both, how long it was held.

use std::collections::VecDeque;

use colo_packet::FlowKey;

use crate::event::Difference;

/// Divergences that a log keeps; beyond, the oldest go. All are counted.
const KEPT: usize = 256;

/// One flow was found different, or a frame of it waited too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Network card.
    pub nic: u8,
    /// Connection or flow.
    pub flow: FlowKey,
    /// What differs.
    pub kind: Difference,
    /// The epoch in which it was said.
    pub epoch: u64,
    /// When it was noticed, in nanoseconds of the caller's clock.
    pub at: u64,
    /// How long the PVM's oldest frame of the flow had been held by then; 0 when the SVM was the first to speak.
    pub held_ns: u64,
    /// Where in the stream or message; of a stream, counted from the first byte that was compared.
    pub offset: Option<u64>,
    /// What the PVM sent from there: 16 bytes at most.
    pub primary: Vec<u8>,
    /// What the SVM sent from there: 16 bytes at most, none when it is missing.
    pub secondary: Vec<u8>,
    /// The difference in words.
    pub detail: String,
}

/// Counts by kind, and the last ones.
#[derive(Clone, Debug, Default)]
pub struct Log {
    counts: [u64; Difference::ALL.len()],
    last: VecDeque<Divergence>,
}

impl Log {
    pub(crate) fn note(&mut self, divergence: Divergence) {
        if let Some(count) = self.counts.get_mut(divergence.kind as usize) {
            *count += 1;
        }
        self.keep(divergence);
    }

    /// Takes over what `later` has.
    pub fn absorb(&mut self, later: Self) {
        for (count, more) in self.counts.iter_mut().zip(later.counts) {
            *count += more;
        }
        later
            .last
            .into_iter()
            .for_each(|divergence| self.keep(divergence));
    }

    fn keep(&mut self, divergence: Divergence) {
        if self.last.len() >= KEPT {
            self.last.pop_front();
        }
        self.last.push_back(divergence);
    }

    /// Nothing diverged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// How many there were of each kind, since the start.
    pub fn counts(&self) -> impl Iterator<Item = (Difference, u64)> {
        Difference::ALL.into_iter().zip(self.counts)
    }

    /// The last `count` of those kept, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &Divergence> {
        self.last.iter().skip(self.last.len().saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        for (place, kind) in Difference::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
