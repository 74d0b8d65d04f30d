//! What the client has not been told although the PVM has said it: it went with less, for the SVM was behind.
//!
//! When the SVM catches up and the PVM is silent, an acknowledgement is made from the connection's last frame.
//! Otherwise a client that waits for a window or an acknowledgement could wait for ever.

use colo_packet::pure_ack;

use super::Connection;
use crate::epochs::Epochs;
use crate::offers::Offer;
use crate::outlet::{Outlet, Why};
use crate::queue::{Kind, Segment};
use crate::table::Key;

/// The PVM's last offer, in a frame without data to tell it with.
#[derive(Debug)]
pub(crate) struct Owed {
    frame: Vec<u8>,
    pub(super) want: Offer,
    epoch: u64,
}

impl Owed {
    /// `None`: such a frame cannot be made; the client will ask.
    pub(super) fn of(segment: &Segment, want: Offer) -> Option<Self> {
        Some(Self {
            frame: pure_ack(&segment.held.frame, 0, want.ack, want.window)?,
            want,
            epoch: segment.held.epoch,
        })
    }
}

impl Connection {
    /// Tells what can be told by now of an acknowledgement that waits, or of what is owed. Newer acknowledgements
    /// replace a waiting one again and again, and a client that hears nothing stops sending.
    pub(super) fn tell(&mut self, key: Key, outlet: &mut Outlet) {
        let Some(made) = self
            .unsaid(&outlet.epochs)
            .and_then(|(want, seq, frame)| self.make(want, seq, frame))
        else {
            return;
        };
        let (allowed, complete, frame) = made;
        self.offers.told(allowed);
        if complete {
            self.owed = None;
        }
        outlet.stats.made_acks += 1;
        outlet.send(key.nic, frame, Why::Agreed);
    }

    /// What the PVM has said, where in the stream, and a frame to tell it with.
    fn unsaid(&self, epochs: &Epochs) -> Option<(Offer, u32, &[u8])> {
        let waiting = self.queue.front().and_then(|front| match front.said.kind {
            Kind::Ack { seq, .. } => Some((front.said.offer?, seq, front)),
            _ => None,
        });
        if let Some((want, seq, front)) = waiting {
            let seq = self.sent.unwrap_or(seq);
            return self
                .may_agree(front, epochs)
                .then_some((want, seq, &*front.held.frame));
        }
        let epoch = self.stream.secondary_epoch();
        let owed = self.owed.as_ref()?;
        let counts = owed.epoch <= epoch && epochs.may_agree(epoch);
        counts.then_some((owed.want, self.sent?, owed.frame.as_slice()))
    }

    fn make(&self, want: Offer, seq: u32, frame: &[u8]) -> Option<(Offer, bool, Vec<u8>)> {
        let allowed = self.offers.worth_telling(want)?;
        let made = pure_ack(frame, seq, allowed.ack, allowed.window)?;
        Some((allowed, allowed == want, made))
    }

    /// There is no SVM to wait for any more.
    pub(crate) fn alone(&mut self, nic: u8, outlet: &mut Outlet) {
        let made = self
            .owed
            .take()
            .zip(self.sent)
            .and_then(|(owed, sent)| pure_ack(&owed.frame, sent, owed.want.ack, owed.want.window));
        if let Some(frame) = made {
            outlet.stats.made_acks += 1;
            outlet.send(nic, frame, Why::Passed);
        }
    }
}
