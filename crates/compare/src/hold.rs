//! Frames that wait, and how long they have.

use std::collections::VecDeque;

use crate::table::Key;

/// A frame of the PVM that may not go yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub frame: Vec<u8>,
    /// The order in which frames came, over all flows.
    pub serial: u64,
    pub epoch: u64,
    /// Of the hold clock, for frames with a limit.
    pub ticket: Option<u64>,
}

/// A wait with a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub key: Key,
    pub epoch: u64,
    pub since: u64,
    over: bool,
}

/// All waits in the order they began: the oldest is always in front, so a deadline costs nothing to know.
#[derive(Debug, Default)]
pub(crate) struct HoldClock {
    waits: VecDeque<Wait>,
    /// Ticket of the front.
    first: u64,
}

impl HoldClock {
    pub(crate) fn start(&mut self, key: Key, epoch: u64, since: u64) -> u64 {
        self.waits.push_back(Wait {
            key,
            epoch,
            since,
            over: false,
        });
        self.first + self.waits.len() as u64 - 1
    }

    pub(crate) fn stop(&mut self, ticket: u64) {
        let index = usize::try_from(ticket.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(wait) = self.waits.get_mut(index) {
            wait.over = true;
        }
        while self.waits.front().is_some_and(|wait| wait.over) {
            self.waits.pop_front();
            self.first += 1;
        }
    }

    /// When the wait of this ticket began.
    pub(crate) fn since(&self, ticket: u64) -> Option<u64> {
        let index = usize::try_from(ticket.wrapping_sub(self.first)).ok()?;
        self.waits.get(index).map(|wait| wait.since)
    }

    /// The one that has waited longest.
    pub(crate) fn oldest(&self) -> Option<&Wait> {
        self.waits.front()
    }

    /// Entries kept: everything that began to wait since the oldest did.
    pub(crate) fn len(&self) -> usize {
        self.waits.len()
    }
}
