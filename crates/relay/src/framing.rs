//! The framing of `-netdev stream`: a 4-byte big-endian length before each frame (QEMU net/stream.c).

use colo_link::MAX_FRAME;
use rustix::io::{Errno, read, write};
use std::io;
use std::os::fd::AsFd;
use thiserror::Error;

const HEADER: usize = 4;
const READ_BUFFER: usize = 80 * 1024;
/// Bytes that are not needed any more are cut off the front once they are this many.
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
            writer.advance(taken, |_| ());
            let mut head = vec![];
            for fill in 0..40_u8 {
                head.extend_from_slice(&2000_u32.to_be_bytes());
                head.extend_from_slice(&[fill; 2000]);
            }
            head.truncate(taken);
            writer.clear();
            writer.push(b"later");
            while writer.waiting() > 0 {
                prop_assert!(writer.write_to(&source, |_| ()).unwrap());
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

        #[test]
        fn the_last_frames_sent_are_kept(
            sizes in prop::collection::vec(1..3000_usize, 1..200),
            taken in any::<prop::sample::Index>(),
            count in 0..60_000_usize,
        ) {
            const KEPT: usize = 50_000;
            let frames: Vec<_> = sizes.iter().enumerate().map(|(fill, size)| vec![fill as u8; *size]).collect();
            let mut writer = FrameWriter::keeping(KEPT);
            let mut begun = 0;
            for frame in &frames {
                writer.push(frame);
                let some = taken.index(writer.waiting() + 1);
                writer.advance(some, |_| begun += 1);
            }
            let kept: Vec<_> = writer.last(count).map(<[u8]>::to_vec).collect();
            let (mut bytes, mut wanted) = (0, begun);
            while wanted > 0 && bytes < count.min(KEPT) {
                wanted -= 1;
                bytes += frames[wanted].len() + HEADER;
            }
            prop_assert!(kept.len() >= begun - wanted);
            prop_assert_eq!(&kept[..], &frames[begun - kept.len()..begun]);
            prop_assert!(writer.bytes.len() - writer.waiting() <= KEPT + COMPACT_AT + 2 * 3004);
        }
    }

    #[test]
    fn only_what_was_begun_is_finished() {
        let (source, sink) = pair();
        let mut writer = FrameWriter::default();
        writer.push(b"one");
        writer.push(b"two");
        writer.advance(1, |_| ());
        assert_eq!(writer.begun(), HEADER + 2);
        assert!(writer.finish(&source).unwrap());
        assert_eq!((writer.begun(), writer.waiting()), (0, HEADER + 3));
        assert_eq!(writer.begin_one(), Some(&b"two"[..]));
        assert_eq!(writer.begin_one(), None);
        assert!(writer.finish(&source).unwrap());
        assert_eq!(writer.waiting(), 0);
        let mut wire = [0; 20];
        assert_eq!((&sink).read(&mut wire).unwrap(), 2 * (HEADER + 3) - 1);
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
