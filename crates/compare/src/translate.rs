//! Translation of sequence numbers, so that clients meet one connection whichever copy answers.
//!
//! A connection accepted since the last checkpoint has another initial sequence number (ISN) on the SVM than on the
//! PVM, for the guest's kernel draws it from a secret and a clock (RFC 6528). The difference of the two stays for
//! the connection's life: what the SVM sends gets it added to sequence numbers, what it receives gets it subtracted
//! from acknowledgements and SACK blocks. A loaded checkpoint makes the SVM's numbers the PVM's. After a failover the
//! translation stays, for as long as its connections live, and is handed on to each later secondary.
//!
//! Not translated: numbers quoted in an ICMP error, or in a segment whose first IP fragment is so short that the TCP
//! header goes on in the next. Such a segment differs on the two machines, and leaves with a commit.

mod connection;
mod handover;

use std::collections::HashMap;

use colo_packet::{Direction, FlowKey, Tcp, segment, set_ack, set_seq, shift_sack};

use connection::Connection;
pub use handover::BadTable;

/// How often connections that ended are looked for.
const SWEEP_NS: u64 = 10_000_000_000;

/// The translations of one VM's connections.
///
/// At most `max_flows` are known, with those that are kept for a take-over. Beyond that a new connection stays untranslated: on a secondary its numbers then
/// differ from the primary's, which ends in a checkpoint, and that resets everything; after a failover there are no
/// new translations. No connection is forgotten for the sake of another.
#[derive(Debug)]
pub struct Translator {
    max_flows: usize,
    connections: HashMap<(u8, FlowKey), Connection>,
    /// The primary's own table, for the time after it.
    kept: HashMap<(u8, FlowKey), Connection>,
    /// A SYN makes its connection known.
    learning: bool,
    next_sweep: u64,
}

impl Translator {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(max_flows: usize) -> Self {
        Self {
            max_flows,
            connections: HashMap::new(),
            kept: HashMap::new(),
            learning: true,
            next_sweep: 0,
        }
    }

    /// The PVM's ISN of a connection, from the `Isn` message; before or after the SVM's own.
    ///
    /// One that comes after a cut describes a connection of the next epoch: it must wait for [`Translator::reset`]
    /// like the frames that come after the cut.
    pub fn learn(&mut self, nic: u8, flow: FlowKey, primary_isn: u32) {
        // The connection before on these ports is over.
        self.kept.remove(&(nic, flow));
        if let Some(connection) = self.connection(nic, flow) {
            connection.primary_syn(primary_isn);
        }
    }

    /// A frame from the SVM, on its way to the primary or, after a failover, to clients.
    pub fn outgoing(&mut self, nic: u8, frame: &mut [u8], now: u64) {
        self.sweep(now);
        let Some(tcp) = segment(frame, Direction::Outgoing) else {
            return;
        };
        let Some(connection) = self.of_segment(nic, &tcp) else {
            return;
        };
        connection.sent(&tcp, now);
        let Some(delta) = connection.delta() else { return };
        let (at, seq) = (tcp.at, tcp.seq.wrapping_add(delta));
        set_seq(frame, at, seq);
    }

    /// A frame from a client, on its way to the SVM.
    pub fn incoming(&mut self, nic: u8, frame: &mut [u8], now: u64) {
        self.sweep(now);
        if self.connections.is_empty() {
            return;
        }
        let Some(tcp) = segment(frame, Direction::Incoming) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&(nic, tcp.flow)) else {
            return;
        };
        connection.received(&tcp, now);
        let Some(delta) = connection.delta().filter(|_| tcp.ack_flag()) else {
            return;
        };
        let (at, ack) = (tcp.at, tcp.ack.wrapping_sub(delta));
        set_ack(frame, at, ack);
        shift_sack(frame, at, delta.wrapping_neg());
    }

    /// A checkpoint was loaded: the SVM's numbers are the PVM's. What is kept for a take-over stays.
    pub fn reset(&mut self) {
        self.connections.clear();
    }

    /// Connections that are known.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Connections that are translated, now or after a take-over.
    #[must_use]
    pub fn translated(&self) -> usize {
        let now = self.connections.values().filter(|one| one.isns().is_some());
        now.count() + self.kept.len()
    }

    /// A SYN makes its connection known, any other segment finds it.
    fn of_segment(&mut self, nic: u8, tcp: &Tcp<'_>) -> Option<&mut Connection> {
        if tcp.syn() && self.learning {
            return self.connection(nic, tcp.flow);
        }
        self.connections.get_mut(&(nic, tcp.flow))
    }

    /// Known or new, `None` if there are too many.
    fn connection(&mut self, nic: u8, flow: FlowKey) -> Option<&mut Connection> {
        let key = (nic, flow);
        let known = self.connections.len() + self.kept.len();
        if known >= self.max_flows && !self.connections.contains_key(&key) {
            return None;
        }
        Some(self.connections.entry(key).or_default())
    }

    fn sweep(&mut self, now: u64) {
        if now >= self.next_sweep {
            self.next_sweep = now.saturating_add(SWEEP_NS);
            self.connections.retain(|_, connection| connection.lives(now));
        }
    }
}
