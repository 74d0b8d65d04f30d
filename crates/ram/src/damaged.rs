//! A checkpoint that a peer sent, and that cannot be used.

use crate::payload::End;

/// An incoming checkpoint did not fit together and was forgotten. It is the peer's or the network's fault; what was
/// complete before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint {checkpoint}: {why}")]
pub struct Damaged {
    /// Its number; 0 is pre-copy, or unknown.
    pub checkpoint: u64,
    /// What is wrong with it.
    #[source]
    pub why: Why,
}

/// What is wrong with an incoming checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A payload cannot be read.
    #[error("unreadable message: {0}")]
    Malformed(&'static str),
    /// A page that the RAM does not have.
    #[error("there is no page {0}")]
    NoSuchPage(u64),
    /// More than may be held at once.
    #[error("more than the {0} bytes that may wait")]
    Limit(usize),
    /// Another checkpoint began before this one ended.
    #[error("checkpoint {0} had not ended")]
    Unfinished(u64),
    /// A checkpoint holds what changed since the one before it, so none may be left out.
    #[error("it does not follow the last whole checkpoint, {after:?}")]
    NotNext {
        /// The last whole one.
        after: Option<u64>,
    },
    /// Pre-copy would overwrite the cache of a committed checkpoint. A resync begins with a new replica.
    #[error("pre-copy after checkpoint {0} was complete")]
    LatePrecopy(u64),
    /// Not as many pages as announced.
    #[error("{found} pages came, {announced} were sent")]
    PageCount {
        /// Pages that came.
        found: u64,
        /// Pages that the sender counted.
        announced: u64,
    },
    /// Not as much device state as announced.
    #[error("{found} bytes of device state came, {announced} were sent")]
    DeviceSize {
        /// Bytes that came.
        found: u64,
        /// Bytes that the sender counted.
        announced: u64,
    },
    /// The bytes are not those that were sent.
    #[error("wrong checksum")]
    Checksum,
    /// The first checkpoint leaves pages without content.
    #[error("{0} pages never came, neither before nor with the first checkpoint")]
    NotWhole(u64),
}

impl Why {
    /// Names the first difference between what came and what was announced.
    pub(crate) fn differing(found: End, announced: End) -> Self {
        if found.pages != announced.pages {
            Self::PageCount {
                found: found.pages,
                announced: announced.pages,
            }
        } else if found.device != announced.device {
            Self::DeviceSize {
                found: found.device,
                announced: announced.device,
            }
        } else {
            Self::Checksum
        }
    }
}
