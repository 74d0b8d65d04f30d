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
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::End => "end",
            Self::Handshake => "handshake",
            Self::Message => "message",
        })
    }
}

/// A difference with its description.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub kind: Difference,
    pub detail: String,
}

/// Bytes shown of either side.
const SHOWN: usize = 8;

impl Mismatch {
    /// Two runs of bytes that are not equal; `offset` is where they begin.
    pub(crate) fn bytes(kind: Difference, offset: u64, primary: &[u8], secondary: &[u8]) -> Self {
        let same = primary.iter().zip(secondary).take_while(|(a, b)| a == b).count();
        let show = |bytes: &[u8]| -> String {
            bytes
                .iter()
                .skip(same)
                .take(SHOWN)
                .map(|byte| format!("{byte:02x}"))
                .collect()
        };
        let detail = format!(
            "offset {}: primary {}, secondary {}",
            offset + same as u64,
            show(primary),
            show(secondary)
        );
        Self { kind, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_names_its_first_byte_and_shows_a_few() {
        let found = Mismatch::bytes(Difference::Stream, 100, b"abcdefghijklmnop", b"abXdefghijklmnop");
        assert_eq!(
            found.detail,
            "offset 102: primary 636465666768696a, secondary 586465666768696a"
        );
    }
}
