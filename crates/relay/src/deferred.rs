//! What came in after a cut: it waits until the cut's checkpoint is loaded, or will never come.
//!
//! While the SVM rests, checkpoints are stored and not loaded, and cut follows cut. What lies before the cut of a
//! stored checkpoint is part of that checkpoint and goes.

use crate::link_io::Offence;
use colo_packet::FlowKey;
use std::collections::VecDeque;

/// Bytes of frames that may wait; beyond, frames are dropped. Sequence numbers get twice that; beyond, the link is
/// closed.
const LIMIT: usize = 32 << 20;
/// What an entry costs besides its frame.
const ENTRY: usize = 64;

pub(crate) enum Entry {
    Frame(u8, Vec<u8>),
    Isn(u8, FlowKey, u32),
    Cut(u64),
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame(_, frame) => ENTRY + frame.len(),
            Self::Isn(..) | Self::Cut(_) => ENTRY,
        }
    }
}

#[derive(Default)]
pub(crate) struct Deferred {
    /// The cut behind which everything waits.
    cut: Option<u64>,
    /// Its checkpoint is stored, so that the next cut may come.
    stored: bool,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Deferred {
    /// A cut has come and was not delivered yet.
    pub(crate) fn is_open(&self) -> bool {
        self.cut.is_some()
    }

    pub(crate) fn cut(&mut self, checkpoint: u64) -> Result<(), Offence> {
        if self.cut.is_none() {
            self.cut = Some(checkpoint);
        } else if std::mem::take(&mut self.stored) {
            self.push(Entry::Cut(checkpoint));
        } else {
            return Err("a cut while another is outstanding");
        }
        Ok(())
    }

    /// False: there is no room.
    pub(crate) fn frame(&mut self, nic: u8, frame: &[u8]) -> bool {
        let room = self.bytes < LIMIT;
        if room {
            self.push(Entry::Frame(nic, frame.to_vec()));
        }
        room
    }

    pub(crate) fn isn(&mut self, nic: u8, flow: FlowKey, isn: u32) -> Result<(), Offence> {
        if self.bytes >= 2 * LIMIT {
            return Err("more sequence numbers after a cut than may wait");
        }
        self.push(Entry::Isn(nic, flow, isn));
        Ok(())
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// The checkpoint is stored: what came before its cut need not be delivered any more.
    pub(crate) fn stored(&mut self, checkpoint: u64) {
        let mark = |entry: &Entry| matches!(entry, Entry::Cut(cut) if *cut == checkpoint);
        if let Some(at) = self.entries.iter().position(mark) {
            let passed: usize = self.entries.drain(..=at).map(|entry| entry.bytes()).sum();
            self.bytes -= passed;
            self.cut = Some(checkpoint);
        }
        self.stored = self.cut == Some(checkpoint);
    }

    /// All that waits, in order; nothing does from here on, until the next cut.
    pub(crate) fn take(&mut self) -> VecDeque<Entry> {
        std::mem::take(self).entries
    }
}
