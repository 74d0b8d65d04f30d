//! The messages: `u8 type, u32 LE length, payload`. All numbers are little-endian.
//! The table is in docs/architecture.md.

use thiserror::Error;

/// Bytes of type and length before each payload.
pub const HEADER: usize = 5;
/// Longest payload of any message.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// Longest frame: what QEMU's buffers hold (`NET_BUFSIZE`), a 64 KiB packet with link and virtio headers.
pub const MAX_FRAME: usize = 69_632;
/// Longest encoded flow key of an ISN message.
pub const MAX_FLOW: usize = 64;

/// One message, borrowing its bytes from the [`Decoder`](crate::Decoder).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// P→S: a frame from the uplink.
    FrameIn {
        /// Which network card.
        nic: u8,
        /// The Ethernet frame.
        frame: &'a [u8],
    },
    /// S→P: a frame the SVM sent.
    FrameOut {
        /// Which network card.
        nic: u8,
        /// The epoch the SVM was in.
        epoch: u64,
        /// The Ethernet frame, numbers translated.
        frame: &'a [u8],
    },
    /// P→S: the initial sequence number the PVM chose for a connection.
    Isn {
        /// Which network card.
        nic: u8,
        /// The connection, as `colo_packet` encodes it.
        flow: &'a [u8],
        /// The sequence number of the SYN.
        isn: u32,
    },
    /// P→S: what comes later belongs to the epoch after this checkpoint.
    Cut {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// Both: opaque here, JSON of the agents.
    Control(&'a [u8]),
    /// P→S, bulk: pages of guest RAM.
    Pages(&'a [u8]),
    /// P→S, bulk: a piece of the device state.
    Device(&'a [u8]),
    /// P→S, bulk: the end of a checkpoint's state, with its sums.
    StateEnd(&'a [u8]),
    /// Both.
    Heartbeat {
        /// Moves while the sender's decision loop lives.
        progress: u64,
        /// CLOCK_BOOTTIME of the sender in nanoseconds.
        boottime: u64,
    },
    /// S→P: how many ISN messages of this link have been learned.
    IsnAck {
        /// Counted from the start of the link.
        count: u64,
    },
    /// P→S: what the primary itself translates between clients and its VM, as `colo_compare` encodes it.
    Translations(&'a [u8]),
}

/// Why bytes are not a message. The link is closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The type is none of ours.
    #[error("unknown message type {0}")]
    UnknownType(u8),
    /// The length field exceeds [`MAX_PAYLOAD`].
    #[error("message of type {kind} claims {length} bytes, the limit is {MAX_PAYLOAD}")]
    TooLong {
        /// The message's type.
        kind: u8,
        /// What the length field says.
        length: u32,
    },
    /// The payload does not have the shape its type requires.
    #[error("message of type {kind} cannot have {length} bytes")]
    BadShape {
        /// The message's type.
        kind: u8,
        /// Bytes of payload.
        length: usize,
    },
}

impl<'a> Message<'a> {
    /// Reads one payload.
    ///
    /// # Errors
    /// The type is unknown or the payload does not fit it.
    pub fn parse(kind: u8, payload: &'a [u8]) -> Result<Self, DecodeError> {
        match kind {
            1 => frame_in(payload),
            2 => frame_out(payload),
            3 => isn(payload),
            4 => whole(payload).map(|checkpoint| Self::Cut { checkpoint }),
            5 => Some(Self::Control(payload)),
            6 => Some(Self::Pages(payload)),
            7 => Some(Self::Device(payload)),
            8 => Some(Self::StateEnd(payload)),
            9 => heartbeat(payload),
            10 => whole(payload).map(|count| Self::IsnAck { count }),
            11 => Some(Self::Translations(payload)),
            other => return Err(DecodeError::UnknownType(other)),
        }
        .ok_or(DecodeError::BadShape {
            kind,
            length: payload.len(),
        })
    }

    /// The number that stands for this message on the link.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::FrameIn { .. } => 1,
            Self::FrameOut { .. } => 2,
            Self::Isn { .. } => 3,
            Self::Cut { .. } => 4,
            Self::Control(_) => 5,
            Self::Pages(_) => 6,
            Self::Device(_) => 7,
            Self::StateEnd(_) => 8,
            Self::Heartbeat { .. } => 9,
            Self::IsnAck { .. } => 10,
            Self::Translations(_) => 11,
        }
    }

    /// Appends header and payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(out);
        match *self {
            Self::FrameIn { nic, frame } => {
                out.push(nic);
                out.extend_from_slice(frame);
            }
            Self::FrameOut { nic, epoch, frame } => {
                out.push(nic);
                out.extend_from_slice(&epoch.to_le_bytes());
                out.extend_from_slice(frame);
            }
            Self::Isn { nic, flow, isn } => {
                out.push(nic);
                out.extend_from_slice(flow);
                out.extend_from_slice(&isn.to_le_bytes());
            }
            Self::Cut { checkpoint: number } | Self::IsnAck { count: number } => {
                out.extend_from_slice(&number.to_le_bytes());
            }
            Self::Control(bytes)
            | Self::Pages(bytes)
            | Self::Device(bytes)
            | Self::StateEnd(bytes)
            | Self::Translations(bytes) => {
                out.extend_from_slice(bytes);
            }
            Self::Heartbeat { progress, boottime } => {
                out.extend_from_slice(&progress.to_le_bytes());
                out.extend_from_slice(&boottime.to_le_bytes());
            }
        }
        finish(out, start, self.kind());
    }
}

/// Leaves room for a header; the payload is appended after it.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    start
}

/// Fills in the header of the message that began at `start` and ends where `out` ends.
pub(crate) fn finish(out: &mut [u8], start: usize, kind: u8) {
    let length = u32::try_from(out.len().saturating_sub(start + HEADER)).unwrap_or(u32::MAX);
    if let Some([type_byte, length_bytes @ ..]) = out.get_mut(start..start + HEADER) {
        *type_byte = kind;
        length_bytes.copy_from_slice(&length.to_le_bytes());
    }
}

fn frame_in(payload: &[u8]) -> Option<Message<'_>> {
    let (&nic, frame) = payload.split_first()?;
    is_frame(frame).then_some(Message::FrameIn { nic, frame })
}

fn frame_out(payload: &[u8]) -> Option<Message<'_>> {
    let (&nic, rest) = payload.split_first()?;
    let (epoch, frame) = rest.split_first_chunk()?;
    is_frame(frame).then_some(Message::FrameOut {
        nic,
        epoch: u64::from_le_bytes(*epoch),
        frame,
    })
}

fn isn(payload: &[u8]) -> Option<Message<'_>> {
    let (&nic, rest) = payload.split_first()?;
    let (flow, isn) = rest.split_last_chunk()?;
    let fits = !flow.is_empty() && flow.len() <= MAX_FLOW;
    fits.then_some(Message::Isn {
        nic,
        flow,
        isn: u32::from_le_bytes(*isn),
    })
}

fn heartbeat(payload: &[u8]) -> Option<Message<'_>> {
    let (progress, boottime) = payload.split_first_chunk()?;
    Some(Message::Heartbeat {
        progress: u64::from_le_bytes(*progress),
        boottime: whole(boottime)?,
    })
}

fn whole(payload: &[u8]) -> Option<u64> {
    payload.try_into().ok().map(u64::from_le_bytes)
}

fn is_frame(frame: &[u8]) -> bool {
    !frame.is_empty() && frame.len() <= MAX_FRAME
}
