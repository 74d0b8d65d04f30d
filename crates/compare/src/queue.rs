//! Segments of the PVM that wait, in the order of their connection.

use std::collections::VecDeque;

use colo_packet::{Tcp, TcpAt};

use crate::hold::Held;

/// Duplicate acknowledgements kept at most in a row: three already start a fast retransmit (RFC 5681).
const DUPLICATES: usize = 16;

/// What a segment must wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The SVM's SYN, and everything before `end`.
    Syn { end: u32 },
    /// Everything before `end`, from `start` on. Where they are the same it is no known segment and never agreed.
    Data { start: u32, end: u32 },
    /// Nothing but its acknowledgement.
    Ack { selective: bool, window: u16 },
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
        } else if tcp.is_empty() && tcp.ack_flag() {
            Self::Ack {
                selective: tcp.sack_blocks().next().is_some(),
                window: tcp.window,
            }
        } else {
            Self::Data { start: tcp.seq, end }
        }
    }

    pub(crate) const fn is_ack(self) -> bool {
        matches!(self, Self::Ack { .. })
    }
}

/// A segment that waits.
#[derive(Debug)]
pub(crate) struct Segment {
    pub held: Held,
    pub kind: Kind,
    pub at: TcpAt,
    /// Its acknowledgement number, if it has one.
    pub ack: Option<u32>,
    /// Its connection is over, another one has its ports.
    pub stale: bool,
}

impl Segment {
    /// A SYN of the connection that the ports have now.
    pub(crate) fn is_live_syn(&self) -> bool {
        matches!(self.kind, Kind::Syn { .. }) && !self.stale
    }
}

/// What waits on one connection.
pub(crate) type Queue = VecDeque<Segment>;

/// Takes the last segment out if `next` makes it needless: an acknowledgement of as much or more. Duplicates, which
/// tell the client about losses, are kept: the same number again, with SACK blocks or the same window.
pub(crate) fn take_replaced(queue: &mut Queue, next: &Segment) -> Option<Held> {
    let last = queue.back()?;
    let (Kind::Ack { window: before, .. }, Kind::Ack { selective, window }) = (last.kind, next.kind) else {
        return None;
    };
    let (known, ack) = (last.ack?, next.ack?);
    let duplicate = known == ack && (selective || before == window) && !is_run_of(queue, ack);
    if duplicate || colo_packet::seq::lt(ack, known) || last.held.epoch != next.held.epoch {
        return None;
    }
    queue.pop_back().map(|segment| segment.held)
}

/// As many acknowledgements of `ack` in a row as are kept.
fn is_run_of(queue: &Queue, ack: u32) -> bool {
    let same = |segment: &&Segment| segment.kind.is_ack() && segment.ack == Some(ack);
    queue.iter().rev().take(DUPLICATES).take_while(same).count() == DUPLICATES
}
