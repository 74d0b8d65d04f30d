//! Memory for frames: what one frame has left, the next one of its size takes.
//!
//! Frames come and go a million times a second, and those of an Ethernet's usual size are too large for the quick part
//! of malloc(3). The last buffer put back is the first one taken, so that a VM whose frames go at once uses few, and these
//! stay in the cache.

use colo_link::MAX_FRAME;

/// Small frames, an Ethernet's usual ones with tags, jumbo frames, and what offloads of segmentation make.
const SIZES: [usize; 9] = [128, 320, 768, 1536, 4096, 9216, 18_432, 36_864, MAX_FRAME];
/// Bytes put by of each size.
const KEPT: usize = 1 << 20;

/// Buffers that no frame is in: 9 MiB at most.
#[derive(Debug, Default)]
pub struct Shelf([Vec<Vec<u8>>; SIZES.len()]);

impl Shelf {
    /// A copy of a frame, in a buffer of 128 bytes or less than three times its size.
    pub fn copy(&mut self, frame: &[u8]) -> Vec<u8> {
        let fitting = SIZES
            .iter()
            .zip(&mut self.0)
            .find(|(size, _)| frame.len() <= **size);
        let Some((size, buffers)) = fitting else {
            return frame.to_vec();
        };
        let mut buffer = buffers.pop().unwrap_or_else(|| Vec::with_capacity(*size));
        buffer.extend_from_slice(frame);
        buffer
    }

    /// The frame is done with. What was not taken from here is freed.
    pub fn put_back(&mut self, mut frame: Vec<u8>) {
        let fitting = SIZES
            .iter()
            .zip(&mut self.0)
            .find(|(size, _)| frame.capacity() == **size);
        if let Some((_, buffers)) = fitting.filter(|(size, buffers)| buffers.len() < KEPT / **size) {
            frame.clear();
            buffers.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_copy_is_equal_and_its_buffer_is_not_much_larger(lengths in prop::collection::vec(0..MAX_FRAME, 1..20)) {
            let mut shelf = Shelf::default();
            for (length, fill) in lengths.into_iter().zip(1_u8..) {
                let frame = vec![fill; length];
                let copy = shelf.copy(&frame);
                prop_assert_eq!(&copy, &frame);
                prop_assert!(copy.capacity() <= 128 || copy.capacity() < 3 * length);
                shelf.put_back(copy);
            }
        }
    }

    #[test]
    fn a_buffer_put_back_is_taken_again() {
        let mut shelf = Shelf::default();
        let first = shelf.copy(&[1; 1514]);
        let at = first.as_ptr();
        shelf.put_back(first);
        let second = shelf.copy(&[2; 1300]);
        assert_eq!(second.as_ptr(), at);
    }

    #[test]
    fn what_is_put_by_is_bounded() {
        let mut shelf = Shelf::default();
        let frames: Vec<_> = (0..3000).map(|_| shelf.copy(&[0; 1514])).collect();
        frames.into_iter().for_each(|frame| shelf.put_back(frame));
        shelf.put_back(vec![0; 3000]);
        let kept: usize = shelf.0.iter().flatten().map(Vec::capacity).sum();
        assert!((KEPT - 1536..=KEPT).contains(&kept), "{kept}");
    }
}
