//! The queue of a connection: what waits, what may go, and with which acknowledgement and window.

use colo_packet::{seq, set_ack, set_window};

use super::Connection;
use super::owed::Owed;
use crate::epochs::Epochs;
use crate::held::Held;
use crate::hold::Patience;
use crate::offers::{DUPLICATES, Offer};
use crate::outlet::{Outlet, Why};
use crate::pair::Speaker;
use crate::queue::{Kind, Said, Segment, take_replaced};
use crate::table::Key;

impl Connection {
    /// Takes in the frame of a segment that `primary` has seen.
    pub(crate) fn hold(&mut self, key: Key, segment: Segment, now: u64, outlet: &mut Outlet) {
        while let Some(replaced) = take_replaced(&mut self.queue, &segment) {
            outlet.replace(&replaced);
        }
        let (serial, said) = (segment.held.serial, segment.said);
        if self.queue.capacity() == 0 {
            self.queue = outlet.spare_queues.take();
        }
        self.queue.push_back(segment);
        self.flush(key, outlet);
        let waiting = self
            .queue
            .back_mut()
            .filter(|last| last.held.serial == serial && !last.said.kind.is_ack());
        let Some(last) = waiting else {
            return;
        };
        outlet.holds.start(&mut last.held, &mut self.patience, now);
        if matches!(said.kind, Kind::Syn { .. }) && said.offer.is_none() {
            outlet.openings.note(Speaker::Primary, key, now);
        }
    }

    /// Lets go from the front what may go.
    pub(crate) fn flush(&mut self, key: Key, outlet: &mut Outlet) {
        while let Some(why) = self.ready(outlet) {
            let Some(mut segment) = self.queue.pop_front() else {
                break;
            };
            let unsaid = match why {
                Why::Agreed => self.clamp(&mut segment, outlet),
                _ => None,
            };
            self.note_released(&segment);
            if let Some(want) = unsaid {
                self.owed = Owed::of(&segment, want).map(Box::new);
            }
            outlet.release(key.nic, segment.held, why);
        }
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            outlet.spare_queues.give(std::mem::take(&mut self.queue));
        }
        self.tell(key, outlet);
        self.watch_rest(outlet);
        self.count_debt(outlet);
    }

    /// Why the front may go. Acknowledgements that wait are dropped when a segment behind them may go: it carries as
    /// much of theirs as the client may be told.
    fn ready(&mut self, outlet: &mut Outlet) -> Option<Why> {
        let front = self.queue.front()?;
        if let Some(why) = self.may_go(front, &outlet.epochs) {
            return Some(why);
        }
        let waiting = self.queue.iter().take(2 * DUPLICATES);
        let acks = waiting.take_while(|segment| segment.said.kind.is_ack()).count();
        let behind = self.queue.get(acks).filter(|_| acks > 0)?;
        let why = self.may_go(behind, &outlet.epochs)?;
        for segment in self.queue.drain(..acks) {
            outlet.replace(&segment.held);
        }
        Some(why)
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
        (self.may_agree(segment, epochs) && self.is_agreed(&segment.said)).then_some(Why::Agreed)
    }

    /// The SVM's word counts for this segment.
    pub(super) fn may_agree(&self, segment: &Segment, epochs: &Epochs) -> bool {
        let epoch = segment.held.epoch;
        !segment.stale && epoch == self.stream.secondary_epoch() && epochs.may_agree(epoch)
    }

    fn is_agreed(&self, said: &Said) -> bool {
        match said.kind {
            Kind::Syn { end } => {
                self.handshake.is_agreed()
                    && self.stream.agrees_to(end)
                    && said.offer.is_none_or(|offer| self.offers.covers(offer.ack))
            }
            Kind::Data { start, end } => {
                start != end
                    && self.stream.agrees_to(end)
                    && self.stream.was_watched(start)
                    && (said.offer.is_none() || self.offers.is_known())
                    && self.urgent.agrees(start, end, said.urgent)
            }
            Kind::Ack { .. } => said.offer.is_some_and(|offer| self.offers.may_go(offer)),
            Kind::Reset => self.secondary_reset,
        }
    }

    /// Lowers acknowledgement and window to what both have said; returns what the PVM said if that was more.
    fn clamp(&self, segment: &mut Segment, outlet: &mut Outlet) -> Option<Offer> {
        let Said { kind, at, .. } = segment.said;
        let syn = matches!(kind, Kind::Syn { .. });
        if syn {
            self.clamp_syn(segment, outlet);
        }
        let want = segment.said.offer?;
        let allowed = self.offers.allowed(want).filter(|allowed| *allowed != want)?;
        segment.said.offer = Some(allowed);
        if syn {
            return Some(want);
        }
        if allowed.ack != want.ack {
            set_ack(&mut segment.held.frame, at, allowed.ack);
            outlet.stats.clamped_acks += 1;
        }
        if allowed.window != want.window {
            set_window(&mut segment.held.frame, at, allowed.window);
            outlet.stats.clamped_windows += 1;
        }
        Some(want)
    }

    /// The window of a SYN is not scaled and is the connection's first: the smaller one of both.
    fn clamp_syn(&self, segment: &mut Segment, outlet: &mut Outlet) {
        let smaller = self
            .handshake
            .window()
            .filter(|window| *window < segment.said.window);
        if let Some(window) = smaller {
            set_window(&mut segment.held.frame, segment.said.at, window);
            outlet.stats.clamped_windows += 1;
        }
    }

    /// A segment that is not the newest may be one that the client does not read.
    fn note_released(&mut self, segment: &Segment) {
        let Some(end) = segment.said.end().filter(|_| !segment.stale) else {
            return;
        };
        if let Some(offer) = segment.said.offer.filter(|_| segment.said.kind.is_ack()) {
            self.offers.repeats(offer);
        }
        self.urgent.released(end, segment.said.urgent);
        if self.sent.is_none_or(|sent| seq::ge(end, sent)) {
            (self.sent, self.owed) = (Some(end), None);
            if let Some(offer) = segment.said.offer {
                self.offers.told(offer);
            }
        }
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
        self.account(outlet);
        self.flush(key, outlet);
    }
}
