//! Urgent data (RFC 9293 section 3.8.5, RFC 6093): where it ends is part of what a client sees.
//!
//! A segment of the PVM that says so needs the same end from the SVM, and one with the byte before an end that the SVM
//! has named must name it too. What does not fit waits for a commit.

use colo_packet::seq;

/// Ends kept of the SVM: a machine names a new one only when a program sends urgent data again.
const KEPT: usize = 4;

/// Ends of urgent data of one connection.
#[derive(Debug, Default)]
pub(crate) struct Urgent {
    secondary: Vec<u32>,
    /// The last one that the client was told.
    told: Option<u32>,
}

impl Urgent {
    /// The SVM names an end. Beyond [`KEPT`] the oldest is forgotten.
    pub(crate) fn secondary(&mut self, end: u32) {
        if self.secondary.last() == Some(&end) {
            return;
        }
        if self.secondary.len() >= KEPT {
            self.secondary.remove(0);
        }
        self.secondary.push(end);
    }

    /// The SVM starts anew.
    pub(crate) fn restart(&mut self) {
        self.secondary.clear();
    }

    /// A segment of the PVM over `start..end` says of urgent data what the SVM says.
    pub(crate) fn agrees(&self, start: u32, end: u32, named: Option<u32>) -> bool {
        let known = |named| self.told == Some(named) || self.secondary.contains(&named);
        let passed = |other: &u32| seq::gt(*other, start) && seq::le(*other, end);
        named.is_none_or(known) && (named.is_some() || !self.secondary.iter().any(passed))
    }

    /// The client has got a segment up to `end`.
    pub(crate) fn released(&mut self, end: u32, named: Option<u32>) {
        self.told = named.or(self.told);
        self.secondary.retain(|urgent| seq::gt(*urgent, end));
    }
}
