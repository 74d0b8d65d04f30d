//! What waits: a frame of the PVM, or the fragments of one datagram, which go together.

use colo_packet::Frame;

use crate::fragments::Fragments;

/// What may not go yet.
#[derive(Debug)]
pub(crate) struct Held {
    /// What is compared, and changed where it has to be.
    pub frame: Frame,
    /// What `frame` was put together from, and goes in its place.
    pub fragments: Option<Box<Fragments>>,
    /// The order in which frames came, over all flows.
    pub serial: u64,
    pub epoch: u64,
    /// When it began to wait, for frames with a limit.
    pub since: Option<u64>,
}

impl Held {
    /// How many frames go with it.
    pub(crate) fn frames(&self) -> u64 {
        self.fragments.as_ref().map_or(1, |fragments| fragments.frames())
    }

    /// Their bytes, as they came.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.fragments {
            None => self.frame.len() as u64,
            Some(fragments) => fragments.bytes(),
        }
    }
}

impl From<Held> for Frame {
    fn from(held: Held) -> Self {
        held.frame
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}
