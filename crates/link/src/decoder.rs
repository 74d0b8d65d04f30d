//! Bytes in, messages out.

use crate::message::{DecodeError, HEADER, MAX_PAYLOAD, Message};

/// Collects bytes as they come and gives whole messages.
///
/// Holds at most one unfinished message (1 MiB and a header) plus the last push, as long as the caller
/// takes every message after each push.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// Appends what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no message; the decoder stays failed, for nothing tells where the next one begins.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (kind, end) = match self.complete() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => return Err(*self.failed.insert(error)),
        };
        let payload = self.buffer.get(self.start + HEADER..end).unwrap_or_default();
        self.start = end;
        let message = Message::parse(kind, payload);
        self.failed = message.err();
        message.map(Some)
    }

    /// Type and end of the message at `start`, once all of it is here.
    fn complete(&self) -> Result<Option<(u8, usize)>, DecodeError> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some((&[kind, ref length @ ..], payload)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length);
        let size = length as usize;
        if size > MAX_PAYLOAD {
            return Err(DecodeError::TooLong { kind, length });
        }
        Ok((payload.len() >= size).then_some((kind, self.start + HEADER + size)))
    }
}
