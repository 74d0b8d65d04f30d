//! The framing of `-netdev stream`: a 4-byte big-endian length before each frame (QEMU net/stream.c).

use colo_link::MAX_FRAME;
use rustix::io::{Errno, read, write};
use std::io;
use std::os::fd::AsFd;
use thiserror::Error;

const HEADER: usize = 4;
const READ_BUFFER: usize = 256 * 1024;
/// Sent bytes are cut off the front once they are this many.
const COMPACT_AT: usize = 64 * 1024;

/// The length before a frame is none that QEMU sends: the stream is lost.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a frame of {0} bytes")]
pub struct BadLength(u32);

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

/// Frames on their way out, many to a write.
#[derive(Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
    start: usize,
    /// End of the frame that `start` lies in; equal to `start` between frames.
    boundary: usize,
}

impl FrameWriter {
    /// Appends a frame. An empty or overlong one would end the stream for the reader: it is left out.
    pub fn push(&mut self, frame: &[u8]) {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return;
        }
        if self.start >= COMPACT_AT {
            self.bytes.drain(..self.start);
            self.boundary -= self.start;
            self.start = 0;
        }
        // Bounded by MAX_FRAME above.
        self.bytes.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        self.bytes.extend_from_slice(frame);
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Drops what waits, but for the rest of a frame already begun: the reader counts on it.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.boundary);
    }

    /// Writes once; false when the socket takes no more now.
    ///
    /// # Errors
    /// The write fails.
    pub fn write_to(&mut self, fd: impl AsFd) -> io::Result<bool> {
        match write(fd, self.bytes.get(self.start..).unwrap_or_default()) {
            Ok(count) => {
                self.advance(count);
                Ok(true)
            }
            Err(Errno::INTR) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn advance(&mut self, count: usize) {
        self.start += count;
        while self.boundary < self.start {
            let header = self
                .bytes
                .get(self.boundary..)
                .and_then(|rest| rest.first_chunk::<HEADER>());
            let length = header.map_or(0, |header| u32::from_be_bytes(*header));
            self.boundary += HEADER + length as usize;
        }
        if self.start == self.bytes.len() {
            self.bytes.clear();
            (self.start, self.boundary) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, UnixStream) {
        let (one, other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        (one, other)
    }

    fn read_frames(reader: &mut FrameReader, fd: &UnixStream) -> Result<Vec<Vec<u8>>, BadLength> {
        let mut frames = Vec::new();
        while reader.fill(fd).unwrap() == Fill::Bytes {
            while let Some(frame) = reader.next_frame()? {
                frames.push(frame.to_vec());
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..30),
            cuts in prop::collection::vec(1..5000_usize, 1..10),
        ) {
            let (mut source, sink) = pair();
            let mut wire = Vec::new();
            for frame in &frames {
                wire.extend_from_slice(&(frame.len() as u32).to_be_bytes());
                wire.extend_from_slice(frame);
            }
            let (mut reader, mut seen, mut rest) = (FrameReader::default(), Vec::new(), wire.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                source.write_all(piece).unwrap();
                seen.extend(read_frames(&mut reader, &sink).unwrap());
                rest = later;
            }
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn arbitrary_bytes_are_frames_or_an_error(bytes in prop::collection::vec(prop_oneof![0..3_u8, any::<u8>()], 0..300)) {
            let (mut source, sink) = pair();
            source.write_all(&bytes).unwrap();
            let _ = read_frames(&mut FrameReader::default(), &sink);
        }

        #[test]
        fn clearing_in_the_middle_of_a_frame_keeps_the_stream_in_step(taken in 1..60_000_usize) {
            let (source, mut sink) = pair();
            let mut writer = FrameWriter::default();
            for fill in 0..40 {
                writer.push(&[fill; 2000]);
            }
            // The socket takes a part; the reader has read any part of that.
            writer.advance(taken);
            let mut head = vec![];
            for fill in 0..40_u8 {
                head.extend_from_slice(&2000_u32.to_be_bytes());
                head.extend_from_slice(&[fill; 2000]);
            }
            head.truncate(taken);
            writer.clear();
            writer.push(b"later");
            while writer.waiting() > 0 {
                prop_assert!(writer.write_to(&source).unwrap());
            }
            let mut wire = head;
            let _ = sink.read_to_end(&mut wire);
            let (mut again, check) = pair();
            again.write_all(&wire).unwrap();
            let frames = read_frames(&mut FrameReader::default(), &check).unwrap();
            let whole = taken.div_ceil(2004);
            prop_assert_eq!(frames.len(), whole + 1);
            prop_assert_eq!(frames.last().unwrap(), b"later");
        }
    }

    #[test]
    fn lengths_of_zero_and_beyond_the_longest_frame_are_refused() {
        for length in [0, MAX_FRAME as u32 + 1, u32::MAX] {
            let (mut source, sink) = pair();
            source.write_all(&length.to_be_bytes()).unwrap();
            assert_eq!(
                read_frames(&mut FrameReader::default(), &sink),
                Err(BadLength(length))
            );
        }
    }
}
