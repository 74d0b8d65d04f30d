//! Buffers that nobody needs now. The last one given back is the next one taken: it is still in the cache, and a flow
//! at rest keeps no memory.

use std::collections::VecDeque;

/// Larger ones are given back to the system: few connections need them.
const LARGEST: usize = 64 << 10;
const KEPT: usize = 64;

/// 4 MiB of buffers at most.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<VecDeque<u8>>);

impl Spare {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> VecDeque<u8> {
        self.0.pop().unwrap_or_default()
    }

    /// Its bytes are done with.
    pub(crate) fn give(&mut self, mut buffer: VecDeque<u8>) {
        if buffer.capacity() <= LARGEST && self.0.len() < KEPT {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_comes_back_empty() {
        let mut spare = Spare::default();
        spare.give(VecDeque::from([1]));
        spare.give(VecDeque::with_capacity(2 * LARGEST));
        assert_eq!(spare.0.len(), 1);
        assert!(spare.take().is_empty());
        (0..2 * KEPT).for_each(|_| spare.give(VecDeque::new()));
        assert_eq!(spare.0.len(), KEPT);
    }
}
