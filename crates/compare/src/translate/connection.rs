//! What is known of one connection that is translated.

use colo_packet::{Tcp, seq};

const SECOND: u64 = 1_000_000_000;
/// The other side's ISN comes within the time that a frame is held; far less than this.
const UNPAIRED_NS: u64 = 60 * SECOND;
/// TIME-WAIT lasts this long in Linux.
const ENDED_NS: u64 = 60 * SECOND;
/// As long as Linux's connection tracking keeps an established connection (nf_conntrack_tcp_timeout_established).
const IDLE_NS: u64 = 5 * 24 * 3600 * SECOND;

/// The initial sequence numbers of one connection on both sides.
#[derive(Clone, Copy, Debug, Default)]
enum Isns {
    #[default]
    Unknown,
    /// Of the PVM alone. `stale` is the SVM's for the connection before on the same ports: it may be repeated.
    Primary { primary: u32, stale: Option<u32> },
    /// Of the SVM alone.
    Secondary { secondary: u32 },
    /// Of both: numbers can be translated.
    Both { primary: u32, secondary: u32 },
}

#[derive(Debug, Default)]
pub(super) struct Connection {
    isns: Isns,
    /// When the connection last moved; `None` until a time is known.
    moved: Option<u64>,
    /// The guest's last acknowledgement: the sequence number that the peer's next segment has.
    expected: Option<u32>,
    guest_closed: bool,
    peer_closed: bool,
}

impl Connection {
    /// One of which both ISNs are known.
    pub(super) fn translated(primary: u32, secondary: u32) -> Self {
        Self {
            isns: Isns::Both { primary, secondary },
            ..Self::default()
        }
    }

    /// The ISNs of PVM and SVM, once both are known.
    pub(super) const fn isns(&self) -> Option<(u32, u32)> {
        match self.isns {
            Isns::Both { primary, secondary } => Some((primary, secondary)),
            _ => None,
        }
    }

    pub(super) fn primary_syn(&mut self, primary: u32) {
        let isns = match self.isns {
            Isns::Both { primary: known, .. } if known == primary => return,
            Isns::Both { secondary, .. } => Isns::Primary {
                primary,
                stale: Some(secondary),
            },
            Isns::Secondary { secondary } => Isns::Both { primary, secondary },
            Isns::Primary { stale, .. } => Isns::Primary { primary, stale },
            Isns::Unknown => Isns::Primary { primary, stale: None },
        };
        *self = Self {
            isns,
            ..Self::default()
        };
    }

    /// The SVM's SYN or SYN-ACK; a repeated one has the same number.
    fn secondary_syn(&mut self, secondary: u32) {
        let isns = match self.isns {
            Isns::Both { secondary: known, .. } if known == secondary => return,
            Isns::Primary {
                stale: Some(stale), ..
            } if stale == secondary => return,
            Isns::Primary { primary, .. } => Isns::Both { primary, secondary },
            Isns::Both { .. } | Isns::Secondary { .. } | Isns::Unknown => Isns::Secondary { secondary },
        };
        *self = Self {
            isns,
            ..Self::default()
        };
    }

    /// A segment from the SVM, not translated yet.
    pub(super) fn sent(&mut self, tcp: &Tcp<'_>, now: u64) {
        if tcp.syn() {
            self.secondary_syn(tcp.seq);
        }
        if tcp.ack_flag() {
            self.expected = Some(tcp.ack);
        }
        if tcp.rst() {
            self.peer_closed = true;
        }
        self.guest_closed |= tcp.fin() || tcp.rst();
        self.note(tcp, now);
    }

    /// A segment from the client. Anyone can send an RST: it counts at the expected number only (RFC 5961).
    pub(super) fn received(&mut self, tcp: &Tcp<'_>, now: u64) {
        let reset = tcp.rst() && self.expected == Some(tcp.seq);
        self.guest_closed |= reset;
        self.peer_closed |= reset || tcp.fin();
        self.note(tcp, now);
    }

    /// While one ISN is missing only a SYN is a sign of life.
    fn note(&mut self, tcp: &Tcp<'_>, now: u64) {
        if tcp.syn() || self.delta().is_some() {
            self.moved = Some(now);
        }
    }

    /// From the SVM's numbers to the PVM's, once both ISNs are known.
    pub(super) fn delta(&self) -> Option<u32> {
        self.isns()
            .map(|(primary, secondary)| seq::distance(secondary, primary))
    }

    /// Whether it is worth keeping.
    pub(super) fn lives(&mut self, now: u64) -> bool {
        let moved = *self.moved.get_or_insert(now);
        let patience = match self.delta() {
            None => UNPAIRED_NS,
            Some(_) if self.guest_closed && self.peer_closed => ENDED_NS,
            Some(_) => IDLE_NS,
        };
        now.saturating_sub(moved) < patience
    }
}
