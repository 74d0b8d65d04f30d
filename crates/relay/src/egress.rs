//! Frames that may leave, on their way to one uplink.

use colo_packet::Frame;
use std::collections::VecDeque;

/// Above this the VM's socket is not read: the VM waits as it would for a slow network.
const SOFT_LIMIT: usize = 4 << 20;

/// A bounded queue. Each frame carries the number of ISN messages that the secondary must have confirmed
/// before it may leave: what the client learns from it, the survivor has to know.
pub(crate) struct Egress {
    frames: VecDeque<(u64, Frame)>,
    bytes: usize,
    limit: usize,
}

impl Egress {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            limit: limit.max(2 * SOFT_LIMIT),
        }
    }

    /// Queues a frame; false when there is no room and it was dropped.
    pub(crate) fn push(&mut self, needs_isn: u64, frame: Frame) -> bool {
        let room = self.bytes < self.limit;
        if room {
            self.bytes += frame.len();
            self.frames.push_back((needs_isn, frame));
        }
        room
    }

    /// The next frames, as long as `isn_known` confirmations are enough for them.
    pub(crate) fn ready(&self, isn_known: u64) -> impl Iterator<Item = &Frame> {
        let ready = self
            .frames
            .iter()
            .take_while(move |(needs, _)| *needs <= isn_known);
        ready.map(|(_, frame)| frame)
    }

    /// Takes the front away.
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes < SOFT_LIMIT
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(egress: &Egress, known: u64) -> Option<&[u8]> {
        egress.ready(known).next().map(|frame| &**frame)
    }

    #[test]
    fn frames_wait_in_order_for_the_confirmation_they_need() {
        let mut egress = Egress::new(0);
        assert!(egress.push(0, b"plain".to_vec().into()));
        assert!(egress.push(2, b"syn-ack".to_vec().into()));
        assert!(egress.push(0, b"behind".to_vec().into()));
        assert_eq!(front(&egress, 0), Some(&b"plain"[..]));
        assert_eq!((egress.ready(0).count(), egress.ready(2).count()), (1, 3));
        egress.pop();
        assert_eq!(front(&egress, 1), None);
        assert_eq!(front(&egress, 2), Some(&b"syn-ack"[..]));
        egress.pop();
        assert_eq!(front(&egress, 0), Some(&b"behind"[..]));
    }

    #[test]
    fn at_the_limit_a_frame_is_refused() {
        let mut egress = Egress::new(0);
        let refused = (0..10)
            .filter(|_| !egress.push(0, vec![0; 1 << 20].into()))
            .count();
        assert_eq!(refused, 2);
        assert!(!egress.has_room());
        egress.clear();
        assert!(egress.has_room());
    }
}
