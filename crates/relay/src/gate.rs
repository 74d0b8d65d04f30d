//! The gate: frames leave only while the lease holds.

/// Notices when the gate lapses. Whether it is open is asked anew before each write, see
/// [`Shared::gate_is_open`](crate::event::Shared::gate_is_open).
#[derive(Debug, Default)]
pub(crate) struct Gate {
    was_open: bool,
}

impl Gate {
    /// True once each time the gate goes from open to closed, by time or by call.
    pub(crate) fn lapsed(&mut self, until: u64, now: u64) -> bool {
        let open = now < until;
        let lapsed = self.was_open && !open;
        self.was_open = open;
        lapsed
    }

    /// When to look again.
    pub(crate) fn next_deadline(&self, until: u64) -> Option<u64> {
        self.was_open.then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lapse_is_told_once_and_again_after_it_was_open() {
        let mut gate = Gate::default();
        assert!(!gate.lapsed(0, 5), "never open: nothing lapsed");
        assert!(!gate.lapsed(10, 9));
        assert_eq!(gate.next_deadline(10), Some(10));
        assert!(gate.lapsed(10, 10), "closed at its very end");
        assert!(!gate.lapsed(10, 11));
        assert_eq!(gate.next_deadline(10), None);
        assert!(!gate.lapsed(30, 20));
        assert!(gate.lapsed(0, 21), "closed by call");
    }
}
