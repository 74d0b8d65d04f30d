//! Buffers that nobody needs now. The last one given back is the next one taken: it is still in the cache, and a flow
//! at rest keeps no memory.

use std::collections::VecDeque;

/// Larger ones are given back to the system: few connections need them.
const LARGEST: usize = 256 << 10;
/// Bytes of all buffers.
const KEPT: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct Spare<T> {
    buffers: Vec<VecDeque<T>>,
    bytes: usize,
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self {
            buffers: Vec::new(),
            bytes: 0,
        }
    }
}

impl<T> Spare<T> {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> VecDeque<T> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= size_of::<T>() * buffer.capacity();
        buffer
    }

    /// What is in it is done with.
    pub(crate) fn give(&mut self, mut buffer: VecDeque<T>) {
        let size = size_of::<T>() * buffer.capacity();
        if (1..=LARGEST).contains(&size) && self.bytes + size <= KEPT {
            buffer.clear();
            self.bytes += size;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_comes_back_empty() {
        let mut spare = Spare::default();
        spare.give(VecDeque::from([1_u8]));
        spare.give(VecDeque::with_capacity(2 * LARGEST));
        assert_eq!(spare.buffers.len(), 1);
        assert!(spare.take().is_empty());
        (0..2 * KEPT / LARGEST).for_each(|_| spare.give(VecDeque::with_capacity(LARGEST)));
        assert_eq!(spare.bytes, KEPT);
        while spare.take().capacity() > 0 {}
        assert_eq!(spare.bytes, 0);
    }
}
