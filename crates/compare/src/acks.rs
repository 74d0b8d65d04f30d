//! What either machine has acknowledged to the client: the client may forget what it was told is acknowledged, so it is
//! told only what both have.

use colo_packet::seq;

/// Highest acknowledgement numbers of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acks {
    primary: Option<u32>,
    /// The PVM's at the beginning of its epoch.
    begin: Option<u32>,
    secondary: Option<u32>,
    /// What the client has seen.
    released: Option<u32>,
}

impl Acks {
    pub(crate) fn primary(&mut self, ack: u32) {
        raise(&mut self.primary, ack);
    }

    pub(crate) fn secondary(&mut self, ack: u32) {
        raise(&mut self.secondary, ack);
    }

    pub(crate) fn released(&mut self, ack: u32) {
        raise(&mut self.released, ack);
    }

    /// The PVM begins an epoch.
    pub(crate) fn cut(&mut self) {
        self.begin = self.primary;
    }

    /// The SVM starts where the PVM was.
    pub(crate) fn restart(&mut self) {
        self.secondary = self.begin;
    }

    /// The most that the client may be told; `None`: nothing is known.
    pub(crate) fn limit(&self) -> Option<u32> {
        match (self.secondary, self.released) {
            (Some(secondary), Some(released)) => Some(seq::max(secondary, released)),
            (one, other) => one.or(other),
        }
    }

    /// The client may be told `ack`.
    pub(crate) fn cover(&self, ack: u32) -> bool {
        self.limit().is_some_and(|limit| seq::le(ack, limit))
    }

    /// What can be told although more cannot, if it is news.
    pub(crate) fn progress(&self) -> Option<u32> {
        let (limit, released) = (self.limit()?, self.released?);
        seq::gt(limit, released).then_some(limit)
    }
}

fn raise(number: &mut Option<u32>, to: u32) {
    *number = Some(number.map_or(to, |number| seq::max(number, to)));
}
