//! A long segment of which the SVM has said the front and no more: the front goes alone.
//!
//! Two machines do not cut a stream at the same places, and each stops when its congestion window is full. So the PVM's
//! last segment may end behind what the SVM has said, and the SVM goes on when the client has acknowledged what the
//! PVM's segment begins with. Both would wait for the hold limit.

use super::Connection;
use crate::epochs::Epochs;
use crate::offers::DUPLICATES;
use crate::outlet::Outlet;
use crate::queue::{Kind, Segment};
use crate::table::Key;
use colo_packet::seq;

impl Connection {
    /// Has somebody look whether the SVM goes on.
    pub(super) fn watch_rest(&mut self, outlet: &mut Outlet) {
        if self.divisible(&outlet.epochs).is_some() {
            outlet.holds.watch_rest(&mut self.patience, outlet.now);
        }
    }

    /// If neither machine goes on, lets go what both have said.
    pub(crate) fn look_at_rest(&mut self, key: Key, outlet: &mut Outlet) {
        self.patience.looked_at_rest();
        if let Some((index, agreed)) = self.divisible(&outlet.epochs)
            && outlet.holds.rests(&mut self.patience, outlet.now)
        {
            self.divide(index, agreed, outlet);
            self.flush(key, outlet);
        }
    }

    /// The segment that keeps the others waiting, and up to where it could go.
    fn divisible(&self, epochs: &Epochs) -> Option<(usize, u32)> {
        let waiting = self.queue.iter().take(2 * DUPLICATES);
        let (index, segment) = waiting
            .enumerate()
            .find(|(_, segment)| !segment.said.kind.is_ack())?;
        let size = segment.held.frame.offload.segment()?;
        let Kind::Data { start, end } = segment.said.kind else {
            return None;
        };
        let agreed = self.stream.agreed();
        let some = self.stream.agrees_to(start.wrapping_add(size as u32)) && seq::lt(agreed, end);
        let may = self.may_agree(segment, epochs) && segment.said.urgent.is_none();
        (some && may).then_some((index, agreed))
    }

    fn divide(&mut self, index: usize, agreed: u32, outlet: &mut Outlet) -> Option<()> {
        let rest = self.queue.get_mut(index)?;
        let Kind::Data { start, end } = rest.said.kind else {
            return None;
        };
        let whole = rest.held.frame.len();
        let held = outlet.divide(&mut rest.held, seq::distance(start, agreed) as usize)?;
        let middle = start.wrapping_add((whole - rest.held.frame.len()) as u32);
        let mut said = rest.said;
        said.kind = Kind::Data { start, end: middle };
        rest.said.kind = Kind::Data { start: middle, end };
        let stale = rest.stale;
        self.queue.insert(index, Segment { held, said, stale });
        Some(())
    }
}
