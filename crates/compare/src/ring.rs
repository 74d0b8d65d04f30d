//! Bytes of one side of a stream that the other side has not produced yet.

use std::collections::VecDeque;

use colo_packet::seq;

use crate::spare::Spare;

/// Pieces that wait for what comes before them: in an honest machine's output none, so few are enough.
const PARKED: usize = 64;

/// Bytes that a description needs at most.
const PEEK: usize = 16;

/// A run of bytes from `start`, and pieces beyond a gap.
#[derive(Debug)]
pub(crate) struct Ring {
    start: u32,
    bytes: VecDeque<u8>,
    parked: Vec<(u32, Vec<u8>)>,
    parked_bytes: usize,
}

impl Ring {
    pub(crate) const fn new(start: u32) -> Self {
        Self {
            start,
            bytes: VecDeque::new(),
            parked: Vec::new(),
            parked_bytes: 0,
        }
    }

    /// The position of the first byte.
    pub(crate) const fn start(&self) -> u32 {
        self.start
    }

    /// The position after the run.
    pub(crate) fn end(&self) -> u32 {
        self.start.wrapping_add(self.bytes.len() as u32)
    }

    /// The last position of anything kept.
    pub(crate) fn far_end(&self) -> u32 {
        let ends = self
            .parked
            .iter()
            .map(|(start, bytes)| start.wrapping_add(bytes.len() as u32));
        ends.fold(self.end(), seq::max)
    }

    /// Bytes in the run.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Everything kept, in bytes.
    pub(crate) fn kept(&self) -> usize {
        self.bytes.len() + self.parked_bytes
    }

    /// Adds to the run.
    pub(crate) fn push(&mut self, bytes: &[u8], spare: &mut Spare<u8>) {
        if self.bytes.is_empty() && !bytes.is_empty() {
            self.bytes = spare.take();
        }
        self.bytes.extend(bytes);
    }

    /// How many of the first bytes of the run from `position` equal `bytes`; the shorter one counts.
    pub(crate) fn common(&self, position: u32, bytes: &[u8]) -> usize {
        let skip = (seq::distance(self.start, position) as usize).min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let (front, back) = match front.get(skip..) {
            Some(front) => (front, back),
            None => (back.get(skip - front.len()..).unwrap_or_default(), [].as_slice()),
        };
        let (first, rest) = bytes.split_at(front.len().min(bytes.len()));
        let same = prefix(front, first);
        if same < front.len() {
            same
        } else {
            same + prefix(back, rest)
        }
    }

    /// A few bytes of the run from `position`, for people.
    pub(crate) fn peek(&self, position: u32) -> Vec<u8> {
        self.bytes
            .iter()
            .skip(seq::distance(self.start, position) as usize)
            .take(PEEK)
            .copied()
            .collect()
    }

    /// The first `count` bytes are done with.
    pub(crate) fn consume(&mut self, count: usize, spare: &mut Spare<u8>) {
        self.drop_front(count);
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            spare.give(std::mem::take(&mut self.bytes));
        }
    }

    fn drop_front(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.start = self.start.wrapping_add(count as u32);
    }

    /// An empty run moves on: its other side had these bytes waiting.
    pub(crate) fn skip(&mut self, count: usize) {
        self.start = self.start.wrapping_add(count as u32);
    }

    /// Keeps a piece for later; `false`: too many.
    pub(crate) fn park(&mut self, start: u32, bytes: &[u8]) -> bool {
        if self.parked.len() >= PARKED {
            return false;
        }
        self.parked_bytes += bytes.len();
        self.parked.push((start, bytes.to_vec()));
        true
    }

    /// A parked piece that the run has reached.
    pub(crate) fn unpark(&mut self) -> Option<(u32, Vec<u8>)> {
        let end = self.end();
        let index = self.parked.iter().position(|(start, _)| seq::le(*start, end))?;
        let piece = self.parked.swap_remove(index);
        self.parked_bytes -= piece.1.len();
        Some(piece)
    }

    /// The run begins at `start` from now on: what is before is dropped, a gap before the rest stays a gap.
    pub(crate) fn begin_at(&mut self, start: u32) {
        let ahead = seq::distance(self.start, start) as usize;
        if seq::ge(start, self.start) && ahead <= self.bytes.len() {
            self.drop_front(ahead);
            return;
        }
        let (old, bytes) = (self.start, std::mem::take(&mut self.bytes));
        self.start = start;
        // Above only: below `start` nothing is of interest.
        if seq::gt(old, start) && !bytes.is_empty() {
            self.park(old, Vec::from(bytes).as_slice());
        }
        self.absorb();
    }

    /// Forgets all, begins at `start`.
    pub(crate) fn clear(&mut self, start: u32) {
        *self = Self::new(start);
    }

    fn absorb(&mut self) {
        while let Some((start, bytes)) = self.unpark() {
            let known = seq::distance(start, self.end()) as usize;
            self.bytes.extend(bytes.get(known..).unwrap_or_default());
        }
    }
}

/// The length of the common beginning; whole slices are the usual case.
fn prefix(a: &[u8], b: &[u8]) -> usize {
    let length = a.len().min(b.len());
    match (a.get(..length), b.get(..length)) {
        (Some(a), Some(b)) if a == b => length,
        _ => a.iter().zip(b).take_while(|(a, b)| a == b).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_beginning_is_found_across_the_ring_s_seam() {
        let mut ring = Ring::new(u32::MAX - 3);
        let spare = &mut Spare::default();
        ring.push(&[9; 6], spare);
        ring.consume(5, spare);
        ring.push(b"abcdef", spare);
        assert_eq!(ring.common(2, b"abcdef"), 6);
        assert_eq!(ring.common(2, b"abXdef"), 2);
        assert_eq!(ring.common(4, b"cdefgh"), 4);
        assert_eq!(ring.end(), 8);
    }

    #[test]
    fn a_beginning_further_on_takes_in_parked_pieces() {
        let mut ring = Ring::new(10);
        ring.push(b"abc", &mut Spare::default());
        assert!(ring.park(20, b"xyz"));
        ring.begin_at(21);
        assert_eq!((ring.end(), ring.peek(21)), (23, b"yz".to_vec()));
        assert_eq!(ring.kept(), 2);
    }

    #[test]
    fn a_beginning_further_back_leaves_a_gap() {
        let mut ring = Ring::new(10);
        ring.push(b"abc", &mut Spare::default());
        ring.begin_at(8);
        assert_eq!((ring.len(), ring.kept(), ring.far_end()), (0, 3, 13));
        ring.push(b"__", &mut Spare::default());
        assert_eq!(ring.unpark(), Some((10, b"abc".to_vec())));
    }

    #[test]
    fn pieces_beyond_a_gap_are_bounded() {
        let mut ring = Ring::new(0);
        let parked = (0..1000).filter(|at| ring.park(at * 10 + 5, b"x")).count();
        assert_eq!(parked, PARKED);
    }
}
