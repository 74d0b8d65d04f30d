//! What the SVM said last: after a failover the primary may not have got to send it.

use crate::shelf::Shelf;
use colo_packet::Frame;
use std::collections::VecDeque;

const LIMIT: usize = 256 * 1024;

/// The last frames of the SVM as it sent them, 256 KiB at most: the oldest go first.
#[derive(Default)]
pub(crate) struct Recent {
    frames: VecDeque<(u64, u8, Frame)>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn push(&mut self, now: u64, nic: u8, frame: Frame, shelf: &mut Shelf) {
        self.bytes += frame.len();
        self.frames.push_back((now, nic, frame));
        while self.bytes > LIMIT {
            let Some((_, _, oldest)) = self.frames.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
            shelf.put_back(oldest.bytes);
        }
    }

    /// Takes the frames sent at `since` or later, in order.
    pub(crate) fn take_since(&mut self, since: u64) -> impl Iterator<Item = (u8, Frame)> + use<> {
        let taken = std::mem::take(self);
        taken
            .frames
            .into_iter()
            .skip_while(move |(at, ..)| *at < since)
            .map(|(_, nic, frame)| (nic, frame))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_recent_comes_back_and_only_once() {
        let mut recent = Recent::default();
        for at in 0..10 {
            recent.push(at, 0, vec![at as u8; 60].into(), &mut Shelf::default());
        }
        let taken: Vec<_> = recent.take_since(7).map(|(_, frame)| frame[0]).collect();
        assert_eq!(taken, [7, 8, 9]);
        assert_eq!(recent.take_since(0).count(), 0);
    }

    #[test]
    fn the_oldest_give_way() {
        let mut recent = Recent::default();
        for at in 0..1000_u64 {
            recent.push(at, 0, vec![0; 1000].into(), &mut Shelf::default());
        }
        assert_eq!(recent.take_since(0).count(), LIMIT / 1000);
    }
}
