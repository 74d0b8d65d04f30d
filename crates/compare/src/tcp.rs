//! One TCP connection: what the PVM sent waits here until the SVM has sent the same.

mod begin;
mod debt;
mod divide;
mod missing;
mod owed;
mod release;

use colo_packet::Tcp;

use crate::epochs::Epochs;
use crate::handshake::Handshake;
use crate::hold::Patience;
use crate::offers::Offers;
use crate::outlet::Outlet;
use crate::pair::{Piece, Room, Speaker};
use crate::queue::{Kind, Queue, Said};
use crate::stream::Stream;
use crate::table::{Key, Mortal, Slot};
use crate::urgent::Urgent;
use debt::Debt;
use owed::Owed;

const MINUTE: u64 = 60_000_000_000;
const IDLE: u64 = 120 * MINUTE;

/// State of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    offers: Offers,
    urgent: Urgent,
    handshake: Handshake,
    /// The SVM has sent RST in its epoch.
    secondary_reset: bool,
    /// The PVM has.
    reset: bool,
    /// The PVM has sent more than SYN and RST.
    lasting: bool,
    queue: Queue,
    /// The end of the last segment that went, and what it left unsaid.
    sent: Option<u32>,
    owed: Option<Box<Owed>>,
    debt: Debt,
    /// Bytes of it in the account of all flows.
    accounted: usize,
    patience: Patience,
}

impl Mortal for Connection {
    const SHORTEST: u64 = MINUTE;

    fn lifetime(&self) -> Option<u64> {
        let closed = self.reset || self.stream.ended() || !self.lasting;
        self.queue
            .is_empty()
            .then_some(if closed { MINUTE } else { IDLE })
    }

    /// Nothing came of it yet.
    fn is_spare(&self) -> bool {
        !self.lasting && self.queue.is_empty()
    }

    fn kept(&self) -> usize {
        self.accounted
    }
}

impl Connection {
    pub(crate) fn new(slot: Slot, epoch: u64) -> Self {
        Self {
            stream: Stream::unknown(epoch),
            offers: Offers::default(),
            urgent: Urgent::default(),
            handshake: Handshake::default(),
            secondary_reset: false,
            reset: false,
            lasting: false,
            queue: Queue::new(),
            sent: None,
            owed: None,
            debt: Debt::default(),
            accounted: 0,
            patience: Patience::new(slot),
        }
    }

    /// What must be known of a PVM's segment before its frame is taken in.
    pub(crate) fn primary(&mut self, key: Key, tcp: &Tcp<'_>, outlet: &mut Outlet) -> Said {
        self.turn(&outlet.epochs, None);
        let kind = Kind::of(tcp);
        let trouble = match kind {
            Kind::Syn { .. } => self.primary_syn(key, tcp, outlet),
            Kind::Reset => {
                self.reset = true;
                Ok(())
            }
            Kind::Ack { .. } => Ok(()),
            Kind::Data { start, end } if start == end => Ok(()),
            Kind::Data { .. } => {
                let room = self.room(Speaker::Primary, outlet);
                self.stream.primary(piece(tcp), room)
            }
        };
        self.lasting |= !tcp.syn() && !tcp.rst();
        let offer = self.offers.of(tcp);
        if let Some(offer) = offer {
            self.offers.primary(offer);
        }
        if let Err(trouble) = trouble {
            self.stream.block();
            outlet.trouble(key, outlet.epochs.current, self.oldest(), trouble);
        }
        self.account(outlet);
        Said {
            kind,
            at: tcp.at,
            offer,
            window: tcp.window,
            urgent: tcp.urgent_end(),
        }
    }

    /// What may be kept of a machine.
    fn room<'a>(&self, who: Speaker, outlet: &'a mut Outlet) -> Room<'a> {
        let all = self.stream.kept(who) + outlet.pending_room();
        Room {
            limit: outlet.limits.pending_bytes.min(all),
            spare: &mut outlet.spare,
        }
    }

    fn account(&mut self, outlet: &mut Outlet) {
        let kept =
            self.stream.kept(Speaker::Primary) + self.stream.kept(Speaker::Secondary) + self.handshake.kept();
        outlet.pending = outlet.pending + kept - self.accounted;
        self.accounted = kept;
    }

    /// A segment of the SVM, sent in `epoch`.
    pub(crate) fn secondary(
        &mut self,
        key: Key,
        epoch: u64,
        frame: &[u8],
        tcp: &Tcp<'_>,
        outlet: &mut Outlet,
    ) {
        self.turn(&outlet.epochs, Some(epoch));
        if epoch < self.stream.secondary_epoch() {
            outlet.stats.late_secondary += 1;
            return;
        }
        let agreed = self.stream.agreed();
        let trouble = match Kind::of(tcp) {
            Kind::Syn { .. } => self.secondary_syn(key, epoch, frame, tcp, outlet),
            Kind::Reset => {
                self.secondary_reset = true;
                Ok(())
            }
            // Its numbers are not those of the connection that is known: one of the machines is in the next already.
            _ if self.handshake.is_ahead() || self.handshake.is_waiting() => Ok(()),
            kind => {
                self.hear(kind, tcp);
                let room = self.room(Speaker::Secondary, outlet);
                self.stream.secondary(piece(tcp), room)
            }
        };
        if let Err(trouble) = trouble {
            self.stop_agreeing();
            outlet.trouble(key, epoch, self.oldest(), trouble);
        }
        self.account(outlet);
        if self.stream.agreed() != agreed {
            self.patience.moved(outlet.now);
        }
        self.flush(key, outlet);
    }

    /// What the SVM says beside its data.
    fn hear(&mut self, kind: Kind, tcp: &Tcp<'_>) {
        if let Some(offer) = self.offers.of(tcp) {
            self.offers.secondary(offer, kind.is_ack());
        }
        if let Some(end) = tcp.urgent_end() {
            self.urgent.secondary(end);
        }
    }

    /// After a difference: in the PVM's epoch its commit must help. In an earlier one that is under way, and the SVM
    /// is next heard of in the PVM's epoch.
    fn stop_agreeing(&mut self) {
        if self.stream.secondary_epoch() == self.stream.epoch() {
            self.stream.block();
        } else if self.stream.turn(self.stream.epoch(), true) {
            self.restart();
        }
    }

    /// Follows the epochs. A label of the SVM says that it has loaded the checkpoint before it.
    fn turn(&mut self, epochs: &Epochs, label: Option<u64>) {
        let current = epochs.current;
        if self.stream.secondary_epoch() == current {
            return;
        }
        if self.stream.epoch() < current {
            self.offers.cut();
            self.handshake.cut();
        }
        let secondary_too = epochs.may_agree(current) || label == Some(current);
        if self.stream.turn(current, secondary_too) {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.offers.restart();
        self.urgent.restart();
        self.handshake.restart();
        self.secondary_reset = false;
    }
}

fn piece<'a>(tcp: &Tcp<'a>) -> Piece<'a> {
    Piece {
        seq: tcp.seq,
        payload: tcp.payload,
        fin: tcp.fin(),
    }
}
