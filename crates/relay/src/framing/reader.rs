//! Bytes of a stream, cut into frames.

use super::HEADER;
use colo_link::MAX_FRAME;
use rustix::io::{Errno, read};
use std::io;
use std::os::fd::AsFd;
use thiserror::Error;

const READ_BUFFER: usize = 80 * 1024;

/// The length before a frame is none that QEMU sends: the stream is lost.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a frame of {0} bytes")]
pub struct BadLength(pub(super) u32);

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Bytes came.
    Bytes,
    /// Nothing now.
    Empty,
    /// The other end has closed.
    End,
}

/// Bytes of a stream, cut into frames.
pub struct FrameReader {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self {
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }
}

impl FrameReader {
    /// Reads once. All frames must have been taken before: what is left then always leaves room.
    ///
    /// # Errors
    /// The read fails.
    pub fn fill(&mut self, fd: impl AsFd) -> io::Result<Fill> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match read(fd, room) {
            Ok(0) => Ok(Fill::End),
            Ok(count) => {
                self.end += count;
                Ok(Fill::Bytes)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Fill::Empty),
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`BadLength`].
    pub fn next_frame(&mut self) -> Result<Option<&mut [u8]>, BadLength> {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((header, rest)) = waiting.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header);
        let size = length as usize;
        if size == 0 || size > MAX_FRAME {
            return Err(BadLength(length));
        }
        if rest.len() < size {
            return Ok(None);
        }
        let from = self.start + HEADER;
        self.start = from + size;
        Ok(self.buffer.get_mut(from..from + size))
    }
}
