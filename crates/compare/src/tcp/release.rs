//! The queue of a connection: what waits, what may go, and with which acknowledgement.

use colo_packet::set_ack;

use super::Connection;
use crate::epochs::Epochs;
use crate::hold::{Held, Patience};
use crate::outlet::{Outlet, Why};
use crate::queue::{Kind, Segment, take_replaced};
use crate::table::Key;

impl Connection {
    /// Takes in the frame of a segment that `primary` has seen.
    pub(crate) fn hold(&mut self, key: Key, segment: Segment, now: u64, outlet: &mut Outlet) {
        while let Some(replaced) = take_replaced(&mut self.queue, &segment) {
            outlet.stats.replaced_acks += 1;
            outlet.let_go(replaced);
        }
        let serial = segment.held.serial;
        self.queue.push_back(segment);
        self.flush(key, outlet);
        if let Some(last) = self
            .queue
            .back_mut()
            .filter(|last| last.held.serial == serial && !last.kind.is_ack())
        {
            outlet.holds.start(key, &mut last.held, &mut self.patience, now);
        }
    }

    /// Lets go from the front what may go.
    pub(crate) fn flush(&mut self, key: Key, outlet: &mut Outlet) {
        while let Some(why) = self
            .queue
            .front()
            .and_then(|front| self.may_go(front, &outlet.epochs))
        {
            let Some(mut segment) = self.queue.pop_front() else {
                break;
            };
            if why == Why::Agreed {
                self.clamp(&mut segment, outlet);
            }
            self.note_released(&segment);
            outlet.release(key.nic, segment.held, why);
        }
        self.tell_progress(key, outlet);
    }

    /// Since when its oldest frame of this epoch waits that has a limit.
    pub(crate) fn waits(&mut self, epoch: u64) -> (Option<u64>, &mut Patience) {
        let mut waiting = self.queue.iter().map(|segment| &segment.held);
        let oldest = waiting.find(|held| held.epoch == epoch && held.since.is_some());
        (oldest.and_then(|held| held.since), &mut self.patience)
    }

    fn may_go(&self, segment: &Segment, epochs: &Epochs) -> Option<Why> {
        if epochs.is_committed(segment.held.epoch) {
            return Some(Why::Committed);
        }
        (self.may_agree(segment, epochs) && self.is_agreed(segment)).then_some(Why::Agreed)
    }

    /// The SVM's word counts for this segment.
    fn may_agree(&self, segment: &Segment, epochs: &Epochs) -> bool {
        let epoch = segment.held.epoch;
        !segment.stale && epoch == self.stream.secondary_epoch() && epochs.may_agree(epoch)
    }

    fn is_agreed(&self, segment: &Segment) -> bool {
        match segment.kind {
            Kind::Syn { end } => self.handshake.is_agreed() && self.stream.agrees_to(end),
            Kind::Data { start, end } => {
                start != end
                    && self.stream.agrees_to(end)
                    && self.stream.was_watched(start)
                    && (segment.ack.is_none() || self.acks.limit().is_some())
            }
            Kind::Ack { .. } => segment.ack.is_some_and(|ack| self.acks.cover(ack)),
            Kind::Reset => self.secondary_reset,
        }
    }

    /// Lowers the acknowledgement of data to what both have acknowledged.
    fn clamp(&self, segment: &mut Segment, outlet: &mut Outlet) {
        let (Kind::Data { .. }, Some(ack), Some(limit)) = (segment.kind, segment.ack, self.acks.limit())
        else {
            return;
        };
        if !self.acks.cover(ack) {
            set_ack(&mut segment.held.frame, segment.at, limit);
            segment.ack = Some(limit);
            outlet.stats.clamped_acks += 1;
        }
    }

    fn note_released(&mut self, segment: &Segment) {
        if let (Some(ack), false, false) = (segment.ack, segment.stale, segment.kind == Kind::Reset) {
            self.acks.released(ack);
        }
    }

    /// While an acknowledgement waits, the client hears of what the SVM has acknowledged so far: newer ones replace the
    /// waiting one again and again, and a client that hears nothing stops sending.
    fn tell_progress(&mut self, key: Key, outlet: &mut Outlet) {
        let Some(front) = self.queue.front().filter(|front| front.kind.is_ack()) else {
            return;
        };
        let Some(ack) = self
            .acks
            .progress()
            .filter(|_| self.may_agree(front, &outlet.epochs))
        else {
            return;
        };
        let mut frame = front.held.frame.clone();
        set_ack(&mut frame, front.at, ack);
        self.acks.released(ack);
        outlet.stats.clamped_acks += 1;
        outlet.send(key.nic, frame, Why::Agreed);
    }

    /// Takes out what `take` says, from the front.
    pub(crate) fn drain(&mut self, take: impl Fn(&Held) -> bool, into: &mut Vec<(u8, Held)>, nic: u8) {
        while self.queue.front().is_some_and(|segment| take(&segment.held)) {
            let Some(segment) = self.queue.pop_front() else {
                break;
            };
            self.note_released(&segment);
            into.push((nic, segment.held));
        }
    }

    /// After a commit: the SVM's word may count for more.
    pub(crate) fn committed(&mut self, key: Key, outlet: &mut Outlet) {
        self.turn(&outlet.epochs, None);
        self.flush(key, outlet);
    }
}
