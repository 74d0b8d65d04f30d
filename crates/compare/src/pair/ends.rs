//! Where a stream ends: a FIN takes one position (RFC 9293 section 3.4), the same one on both sides.

use colo_packet::seq;

use super::{Pair, Speaker, Trouble};
use crate::event::Difference;
use crate::mismatch::Mismatch;

impl Pair {
    pub(super) fn check_end(&self, last: u32) -> Result<(), Trouble> {
        match self.primary.fin.or(self.secondary.fin) {
            Some(fin) if seq::gt(last, fin) => Err(self.ends_differ(fin, last)),
            _ => Ok(()),
        }
    }

    pub(super) fn end(&mut self, who: Speaker, fin: u32) -> Result<(), Trouble> {
        let (mine, other) = self.sides(who);
        let known = mine.fin.or(other.fin);
        mine.fin = Some(fin);
        let longest = seq::max(self.primary.ring.far_end(), self.secondary.ring.far_end());
        match known {
            Some(known) if known != fin => Err(self.ends_differ(known, fin)),
            None if seq::gt(longest, fin) => Err(self.ends_differ(fin, longest)),
            _ => Ok(()),
        }
    }

    pub(super) fn pass_end(&mut self) {
        let fin = Some(self.agreed());
        if self.primary.fin == fin && self.secondary.fin == fin {
            self.primary.ring.skip(1);
            self.secondary.ring.skip(1);
        }
    }

    fn ends_differ(&self, one: u32, other: u32) -> Trouble {
        let detail = format!(
            "one ends at offset {}, the other reaches {}",
            seq::distance(self.origin, one),
            seq::distance(self.origin, other)
        );
        Trouble::Differs(Mismatch::told(Difference::End, detail))
    }
}
