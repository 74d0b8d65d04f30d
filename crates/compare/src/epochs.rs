//! Which epoch either machine is in, and which checkpoint the secondary holds.

/// The epochs of both machines. Checkpoint n ends epoch n.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epochs {
    /// The one the PVM is in.
    pub current: u64,
    /// The last checkpoint the secondary holds whole.
    pub committed: u64,
    /// The one the SVM is known to run.
    pub running: u64,
    /// When it began to.
    pub running_since: u64,
}

impl Epochs {
    pub(crate) const fn new() -> Self {
        Self {
            current: 1,
            committed: 0,
            running: 1,
            running_since: 0,
        }
    }

    /// A checkpoint older than one already cut changes nothing.
    pub(crate) fn cut(&mut self, checkpoint: u64) {
        self.current = self.current.max(checkpoint.saturating_add(1));
    }

    /// A checkpoint that was never cut cannot be committed.
    pub(crate) fn commit(&mut self, checkpoint: u64) {
        if checkpoint < self.current {
            self.committed = self.committed.max(checkpoint);
        }
    }

    pub(crate) fn loaded(&mut self, checkpoint: u64, now: u64) {
        if checkpoint >= self.running && checkpoint < self.current {
            self.running = checkpoint + 1;
            self.running_since = now;
        }
    }

    /// What was sent in `epoch` needs no agreement any more.
    pub(crate) const fn is_committed(&self, epoch: u64) -> bool {
        epoch <= self.committed
    }

    /// The secondary holds the state that `epoch` began with, so the SVM's word about it counts.
    pub(crate) const fn may_agree(&self, epoch: u64) -> bool {
        epoch <= self.committed.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_was_not_cut_is_not_committed() {
        let mut epochs = Epochs::new();
        epochs.commit(1);
        assert!(!epochs.is_committed(1));
        epochs.cut(1);
        epochs.commit(1);
        assert!(epochs.is_committed(1));
        assert!(epochs.may_agree(2));
        assert!(!epochs.may_agree(3));
    }

    #[test]
    fn the_ends_of_the_numbers_are_survived() {
        let mut epochs = Epochs::new();
        epochs.cut(u64::MAX);
        epochs.commit(u64::MAX - 1);
        epochs.loaded(u64::MAX - 1, 5);
        assert_eq!(
            (epochs.current, epochs.committed, epochs.running),
            (u64::MAX, u64::MAX - 1, u64::MAX)
        );
        assert!(epochs.may_agree(u64::MAX));
    }
}
