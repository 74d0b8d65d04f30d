//! Frames on their way out, and the last ones that went.

#[cfg(test)]
mod tests;

use super::HEADER;
use colo_link::MAX_FRAME;
use rustix::io::{Errno, write};
use std::io;
use std::os::fd::AsFd;

/// Bytes that are not needed any more are cut off the front once they are this many.
const COMPACT_AT: usize = 64 * 1024;

/// Frames on their way out, many to a write. The last ones stay here for a while after they were sent.
#[derive(Default)]
pub struct FrameWriter {
    /// Whole frames, those that were sent first.
    bytes: Vec<u8>,
    /// The socket has taken what is before.
    start: usize,
    /// End of the last frame that the socket has taken any of, or will whatever happens.
    boundary: usize,
    /// Bytes that stay here after they were sent, at least.
    kept: usize,
}

impl FrameWriter {
    /// Keeps the last `kept` bytes that were sent, for [`FrameWriter::last`].
    pub fn keeping(kept: usize) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    /// Appends a frame. An empty or overlong one would end the stream for the reader: it is left out.
    pub fn push(&mut self, frame: &[u8]) {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return;
        }
        if self.start >= self.kept + COMPACT_AT {
            self.forget();
        }
        // Bounded by MAX_FRAME above.
        self.bytes.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(frame);
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes that wait and belong to frames already begun.
    pub fn begun(&self) -> usize {
        self.boundary - self.start
    }

    /// Drops what waits, but for the rest of a frame already begun: the reader counts on it.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.boundary);
    }

    /// Writes once, and hands over the frames that were begun by it; false when the socket takes no more now.
    ///
    /// # Errors
    /// The write fails.
    pub fn write_to(&mut self, fd: impl AsFd, each: impl FnMut(&[u8])) -> io::Result<bool> {
        self.write_until(self.bytes.len(), fd, each)
    }

    /// Writes once, of frames already begun only; false when the socket takes no more now.
    ///
    /// # Errors
    /// The write fails.
    pub fn finish(&mut self, fd: impl AsFd) -> io::Result<bool> {
        self.write_until(self.boundary, fd, |_| ())
    }

    /// Begins the next frame, for [`FrameWriter::finish`].
    pub fn begin_one(&mut self) -> Option<&[u8]> {
        let (frame, end) = frame_at(&self.bytes, self.boundary)?;
        self.boundary = end;
        Some(frame)
    }

    /// The frames that the last `count` bytes of all begun frames belong to, as far as they are kept.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        let from = self.boundary.saturating_sub(count);
        let mut at = 0;
        std::iter::from_fn(move || {
            let (frame, end) = frame_at(&self.bytes, at)?;
            at = end;
            Some((frame, end))
        })
        .skip_while(move |(_, end)| *end <= from)
        .take_while(|(_, end)| *end <= self.boundary)
        .map(|(frame, _)| frame)
    }

    fn write_until(&mut self, end: usize, fd: impl AsFd, each: impl FnMut(&[u8])) -> io::Result<bool> {
        match write(fd, self.bytes.get(self.start..end).unwrap_or_default()) {
            Ok(count) => {
                self.advance(count, each);
                Ok(true)
            }
            Err(Errno::INTR) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn advance(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        self.start += count;
        while self.boundary < self.start
            && let Some(frame) = self.begin_one()
        {
            each(frame);
        }
        if self.kept == 0 && self.start == self.bytes.len() {
            self.bytes.clear();
            (self.start, self.boundary) = (0, 0);
        }
    }

    /// Cuts off the oldest frames, but for those that are kept.
    fn forget(&mut self) {
        let mut gone = 0;
        while let Some((_, end)) = frame_at(&self.bytes, gone)
            && end + self.kept <= self.start
        {
            gone = end;
        }
        self.bytes.drain(..gone);
        self.start -= gone;
        self.boundary -= gone;
    }
}

/// The frame that begins at `at`, and where it ends.
fn frame_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<HEADER>()?;
    let size = u32::from_be_bytes(*header) as usize;
    Some((rest.get(..size)?, at + HEADER + size))
}
