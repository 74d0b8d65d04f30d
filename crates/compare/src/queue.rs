//! Segments of the PVM that wait, in the order of their connection.

use std::collections::VecDeque;

use colo_packet::{Tcp, TcpAt, seq};

use crate::held::Held;
use crate::offers::{DUPLICATES, Offer};

/// What a segment must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The SVM's SYN, and everything before `end`.
    Syn { end: u32 },
    /// Everything before `end`, from `start` on. Where they are the same it is no known segment and never agreed.
    Data { start: u32, end: u32 },
    /// Nothing but its acknowledgement.
    Ack { seq: u32, selective: bool },
    /// The SVM's RST.
    Reset,
}

impl Kind {
    pub(crate) fn of(tcp: &Tcp<'_>) -> Self {
        let end = tcp.seq.wrapping_add(tcp.len());
        if tcp.rst() {
            Self::Reset
        } else if tcp.syn() {
            Self::Syn { end }
        } else if tcp.is_empty() && tcp.ack_flag() && tcp.urgent_end().is_none() {
            Self::Ack {
                seq: tcp.seq,
                selective: tcp.sack_blocks().next().is_some(),
            }
        } else {
            Self::Data { start: tcp.seq, end }
        }
    }

    pub(crate) const fn is_ack(self) -> bool {
        matches!(self, Self::Ack { .. })
    }
}

/// What a segment says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub kind: Kind,
    pub at: TcpAt,
    /// Its acknowledgement and window, if it has one.
    pub offer: Option<Offer>,
    /// As in the header.
    pub window: u16,
    /// Where urgent data ends.
    pub urgent: Option<u32>,
}

impl Said {
    /// The position after it; `None`: it has none.
    pub(crate) const fn end(&self) -> Option<u32> {
        match self.kind {
            Kind::Syn { end } | Kind::Data { end, .. } | Kind::Ack { seq: end, .. } => Some(end),
            Kind::Reset => None,
        }
    }
}

/// A segment that waits.
#[derive(Debug)]
pub(crate) struct Segment {
    pub held: Held,
    pub said: Said,
    /// Its connection is over, another one has its ports.
    pub stale: bool,
}

impl Segment {
    /// A SYN of the connection that the ports have now.
    pub(crate) fn is_live_syn(&self) -> bool {
        matches!(self.said.kind, Kind::Syn { .. }) && !self.stale
    }
}

/// What waits on one connection.
pub(crate) type Queue = VecDeque<Segment>;

/// Takes the last segment out if `next` makes it needless: an acknowledgement of as much or more. Duplicates, which
/// tell the client about losses, are kept: the same number again, with SACK blocks or the same window. One from before
/// (a keep-alive, a window probe: RFC 9293 sections 3.8.4 and 3.8.6.1) is answered, not read, so it replaces none.
pub(crate) fn take_replaced(queue: &mut Queue, next: &Segment) -> Option<Held> {
    let last = queue.back()?;
    let (Kind::Ack { seq: before, .. }, Kind::Ack { seq: at, selective }) = (last.said.kind, next.said.kind)
    else {
        return None;
    };
    let (known, offer) = (last.said.offer?, next.said.offer?);
    let repeats = known == offer || (selective && known.ack == offer.ack);
    let duplicate = repeats && !is_run_of(queue, offer.ack);
    if duplicate || seq::lt(offer.ack, known.ack) || seq::lt(at, before) || last.held.epoch != next.held.epoch
    {
        return None;
    }
    queue.pop_back().map(|segment| segment.held)
}

/// As many acknowledgements of `ack` in a row as are kept.
fn is_run_of(queue: &Queue, ack: u32) -> bool {
    let same = |segment: &&Segment| {
        segment.said.kind.is_ack() && segment.said.offer.is_some_and(|offer| offer.ack == ack)
    };
    queue.iter().rev().take(DUPLICATES).take_while(same).count() == DUPLICATES
}
