//! What waits to be sent: urgent messages in order, and bulk behind them.

use crate::message::{MAX_PAYLOAD, Message, begin, finish};
use thiserror::Error;

/// Bytes handed over at a time. Large enough to fill TLS records, small enough that an urgent message
/// does not wait long behind them.
const CHUNK: usize = 64 * 1024;

/// Asks the bulk source for one payload, appended to the buffer; returns the message type, `None` when
/// there is nothing (more) to send.
pub type BulkPull<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> Option<u8>;

/// The urgent queue has reached its limit: the peer does not keep up, the link counts as lost.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{limit} bytes wait to be sent and the peer does not take them")]
pub struct Full {
    /// The limit in bytes.
    pub limit: usize,
}

/// Urgent messages in a bounded queue; bulk is pulled, a message at a time, only when nothing urgent waits.
#[derive(Debug)]
pub struct Outgoing {
    urgent: Vec<u8>,
    start: usize,
    limit: usize,
    bulk: Vec<u8>,
}

impl Outgoing {
    /// `limit`: bytes of urgent messages that may wait.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            urgent: Vec::new(),
            start: 0,
            limit,
            bulk: Vec::new(),
        }
    }

    /// Queues an urgent message.
    ///
    /// # Errors
    /// The limit is reached; nothing was queued.
    pub fn push(&mut self, message: &Message<'_>) -> Result<(), Full> {
        if self.waiting() >= self.limit {
            return Err(Full { limit: self.limit });
        }
        message.encode(&mut self.urgent);
        Ok(())
    }

    /// Bytes of urgent messages not yet handed over.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.urgent.len() - self.start
    }

    /// The next bytes to send, empty when there are none. What is returned counts as sent.
    ///
    /// A chunk may end inside an urgent message: bulk is pulled only once the queue is empty, so that
    /// messages never interleave. A bulk payload over [`MAX_PAYLOAD`] is a fault of the source and ends it.
    pub fn next_chunk(&mut self, pull: BulkPull<'_>) -> &[u8] {
        if self.waiting() == 0 {
            return self.next_bulk(pull);
        }
        if self.start >= self.urgent.len() / 2 {
            self.urgent.drain(..self.start);
            self.start = 0;
        }
        let from = self.start;
        self.start = self.urgent.len().min(from + CHUNK);
        self.urgent.get(from..self.start).unwrap_or_default()
    }

    fn next_bulk(&mut self, pull: BulkPull<'_>) -> &[u8] {
        self.urgent.clear();
        self.start = 0;
        self.bulk.clear();
        let start = begin(&mut self.bulk);
        match pull(&mut self.bulk) {
            Some(kind) if self.bulk.len() <= MAX_PAYLOAD => finish(&mut self.bulk, start, kind),
            _ => self.bulk.clear(),
        }
        &self.bulk
    }
}
