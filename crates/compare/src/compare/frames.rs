//! The way of a frame into the comparison: to the flow that it belongs to.

use colo_packet::{Direction, Fragment, Frame, Item, classify};

use super::Compare;
use crate::assembly::Assembly;
use crate::held::Held;
use crate::outlet::{Outlet, Why};
use crate::queue::Segment;
use crate::table::Key;

/// What the PVM has sent: a frame, or a datagram whose fragments are held already.
trait Sent {
    fn bytes(&self) -> &[u8];

    /// It waits.
    fn hold(self, outlet: &mut Outlet) -> Held;

    /// It goes uncompared.
    fn pass(self, nic: u8, outlet: &mut Outlet);

    /// It is a fragment; the datagram, if it is whole now.
    fn collect(self, piece: &Fragment, by: &mut Assembly, outlet: &mut Outlet) -> Option<Held>;
}

impl Sent for Frame {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn hold(self, outlet: &mut Outlet) -> Held {
        outlet.hold(self)
    }

    fn pass(self, nic: u8, outlet: &mut Outlet) {
        outlet.send(nic, self, Why::Passed);
    }

    fn collect(self, piece: &Fragment, by: &mut Assembly, outlet: &mut Outlet) -> Option<Held> {
        by.primary(self, piece, outlet)
    }
}

impl Sent for Held {
    fn bytes(&self) -> &[u8] {
        &self.frame
    }

    fn hold(self, _: &mut Outlet) -> Held {
        self
    }

    fn pass(self, nic: u8, outlet: &mut Outlet) {
        outlet.release(nic, self, Why::Passed);
    }

    /// A fragment within a datagram that was put together waits for a commit: nobody sends that on purpose.
    fn collect(self, _: &Fragment, by: &mut Assembly, outlet: &mut Outlet) -> Option<Held> {
        by.keep(self, outlet);
        None
    }
}

impl Compare {
    /// A frame of the PVM, in the current epoch.
    pub fn primary(&mut self, nic: u8, frame: impl Into<Frame>, now: u64) {
        let frame = frame.into();
        self.outlet.stats.primary_frames += 1;
        self.outlet.now = now;
        if self.alone {
            return self.outlet.send(nic, frame, Why::Passed);
        }
        self.settle();
        self.take(nic, frame, now);
    }

    #[inline]
    fn take(&mut self, nic: u8, sent: impl Sent, now: u64) {
        match classify(sent.bytes(), Direction::Outgoing) {
            Item::Chore => sent.pass(nic, &mut self.outlet),
            Item::Fragment(piece) => self.take_fragment(nic, sent, &piece, now),
            Item::Tcp(tcp) => {
                let key = Key { nic, flow: tcp.flow };
                let Some(connection) = self.flows.connection(key, self.new_flow(), now) else {
                    return self.hold_unknown(nic, sent);
                };
                let said = connection.primary(key, &tcp, &mut self.outlet);
                let segment = Segment {
                    held: sent.hold(&mut self.outlet),
                    said,
                    stale: false,
                };
                connection.hold(key, segment, now, &mut self.outlet);
            }
            Item::Message { flow, body } => {
                let key = Key { nic, flow };
                let Some(lane) = self.flows.lane(key, self.new_flow(), now) else {
                    return self.hold_unknown(nic, sent);
                };
                let hash = lane.hash(&body);
                let held = sent.hold(&mut self.outlet);
                lane.primary(key, held, hash, now, &mut self.outlet);
            }
        }
    }

    #[cold]
    fn take_fragment(&mut self, nic: u8, sent: impl Sent, piece: &Fragment, now: u64) {
        let key = Key {
            nic,
            flow: piece.flow,
        };
        let Some(assembly) = self.flows.assembly(key, self.new_flow(), now) else {
            return self.hold_unknown(nic, sent);
        };
        if let Some(whole) = sent.collect(piece, assembly, &mut self.outlet) {
            self.take(nic, whole, now);
        }
    }

    /// A frame of the SVM, produced in `epoch`, its sequence numbers translated already.
    pub fn secondary(&mut self, nic: u8, epoch: u64, frame: &[u8], now: u64) {
        self.outlet.stats.secondary_frames += 1;
        self.outlet.now = now;
        if self.alone {
            return;
        }
        if epoch > self.outlet.epochs.current {
            self.outlet.stats.early_secondary += 1;
            return;
        }
        if self.outlet.epochs.is_committed(epoch) {
            self.outlet.stats.late_secondary += 1;
            return;
        }
        self.settle();
        self.hear::<false>(nic, epoch, frame, now);
    }

    #[cold]
    fn hear_fragment(&mut self, nic: u8, epoch: u64, frame: &[u8], piece: &Fragment, now: u64) {
        let key = Key {
            nic,
            flow: piece.flow,
        };
        let begin = self.begins(epoch);
        let assembly = self.flows.assembly(key, begin, now);
        let whole = assembly.and_then(|assembly| assembly.secondary(epoch, frame, piece, &mut self.outlet));
        if let Some(whole) = whole {
            self.hear::<true>(nic, epoch, &whole, now);
        }
    }

    /// A fragment within a datagram that was put `TOGETHER` explains nothing: the PVM's waits for a commit.
    #[inline]
    fn hear<const TOGETHER: bool>(&mut self, nic: u8, epoch: u64, frame: &[u8], now: u64) {
        let begin = self.begins(epoch);
        match classify(frame, Direction::Outgoing) {
            Item::Chore => {}
            Item::Fragment(piece) => {
                if !TOGETHER {
                    self.hear_fragment(nic, epoch, frame, &piece, now);
                }
            }
            Item::Tcp(tcp) => {
                let key = Key { nic, flow: tcp.flow };
                if let Some(connection) = self.flows.connection(key, begin, now) {
                    connection.secondary(key, epoch, frame, &tcp, &mut self.outlet);
                }
            }
            Item::Message { flow, body } => {
                let key = Key { nic, flow };
                if let Some(lane) = self.flows.lane(key, begin, now) {
                    lane.secondary(key, epoch, frame, &body, now, &mut self.outlet);
                }
            }
        }
    }

    /// The epoch in which a new flow begins. None does while frames of unknown ones wait: one of them could be an
    /// earlier frame of the same.
    fn new_flow(&self) -> Option<u64> {
        self.unknown.is_empty().then_some(self.outlet.epochs.current)
    }

    /// The epoch in which a flow begins that the SVM speaks on first. To one that the PVM did not have in an epoch
    /// that is over it can add nothing.
    fn begins(&self, epoch: u64) -> Option<u64> {
        self.new_flow().filter(|current| *current == epoch)
    }

    /// Without room for its flow a frame waits for a commit, and so do all later ones of new flows.
    fn hold_unknown(&mut self, nic: u8, sent: impl Sent) {
        let held = sent.hold(&mut self.outlet);
        self.unknown.push_back((nic, held));
        self.outlet.tell_queue_limit();
    }
}
