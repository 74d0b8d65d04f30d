//! What the comparison has to say.

use std::fmt;

use colo_packet::FlowKey;

/// Something the caller must act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The two machines answered differently; a checkpoint mends it. With [`Event::HoldLimit`] at most one per epoch.
    Divergence {
        /// Network card.
        nic: u8,
        /// Connection or flow.
        flow: FlowKey,
        /// What differs.
        kind: Difference,
        /// Where, and a few bytes of both, for people.
        detail: String,
        /// Since the first frame of the flow that waits has come; 0 when only the SVM has spoken.
        waited_ns: u64,
    },
    /// A frame waits for the SVM longer than allowed; a checkpoint lets it go.
    HoldLimit {
        /// Network card.
        nic: u8,
        /// Connection or flow.
        flow: FlowKey,
        /// Since it came, or since the SVM was ready to answer.
        waited_ns: u64,
    },
    /// A queue is at its limit: only a checkpoint helps. At most one per epoch.
    QueueLimit {
        /// Bytes of held frames.
        bytes: usize,
    },
    /// The PVM began a connection with this sequence number. S must know before anything later of this connection.
    Isn {
        /// Network card.
        nic: u8,
        /// The connection.
        flow: FlowKey,
        /// The number of the SYN.
        isn: u32,
    },
}

/// What two answers can differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Bytes of a TCP stream.
    Stream,
    /// Where a TCP stream ends.
    End,
    /// Flags, acknowledgement or options of a SYN.
    Handshake,
    /// Messages of a flow.
    Message,
    /// Something that only the PVM has sent. Told as [`Event::HoldLimit`].
    Missing,
    /// A connection that the guest opens, from another port on either machine.
    Ports,
    /// What a client may forget or send: only the PVM has said it, and the client has heard nothing new for long.
    Acknowledgement,
}

impl Difference {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::Stream,
        Self::End,
        Self::Handshake,
        Self::Message,
        Self::Missing,
        Self::Ports,
        Self::Acknowledgement,
    ];
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::End => "end",
            Self::Handshake => "handshake",
            Self::Message => "message",
            Self::Missing => "missing",
            Self::Ports => "ports",
            Self::Acknowledgement => "acknowledgement",
        })
    }
}
