//! One TCP connection: what the PVM sent waits here until the SVM has sent the same.

mod begin;
mod missing;
mod release;

use colo_packet::Tcp;

use crate::acks::Acks;
use crate::epochs::Epochs;
use crate::handshake::Handshake;
use crate::hold::Patience;
use crate::outlet::Outlet;
use crate::pair::Piece;
use crate::queue::{Kind, Queue};
use crate::stream::Stream;
use crate::table::{Key, Mortal};

const MINUTE: u64 = 60_000_000_000;
const IDLE: u64 = 120 * MINUTE;

/// State of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    acks: Acks,
    handshake: Handshake,
    /// The SVM has sent RST in its epoch.
    secondary_reset: bool,
    /// The PVM has.
    reset: bool,
    /// The PVM has sent more than SYN and RST.
    lasting: bool,
    queue: Queue,
    patience: Patience,
}

impl Mortal for Connection {
    fn lifetime(&self) -> Option<u64> {
        let closed = self.reset || self.stream.ended() || !self.lasting;
        self.queue
            .is_empty()
            .then_some(if closed { MINUTE } else { IDLE })
    }
}

impl Connection {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            stream: Stream::unknown(epoch),
            acks: Acks::default(),
            handshake: Handshake::default(),
            secondary_reset: false,
            reset: false,
            lasting: false,
            queue: Queue::new(),
            patience: Patience::new(),
        }
    }

    /// What must be known of a PVM's segment before its frame is taken in.
    pub(crate) fn primary(&mut self, key: Key, tcp: &Tcp<'_>, outlet: &mut Outlet) {
        self.turn(&outlet.epochs, None);
        let trouble = match Kind::of(tcp) {
            Kind::Syn { .. } => self.primary_syn(key, tcp, outlet),
            Kind::Reset => {
                self.reset = true;
                Ok(())
            }
            Kind::Ack { .. } => Ok(()),
            Kind::Data { .. } => self.stream.primary(piece(tcp), outlet.limits.pending_bytes),
        };
        self.lasting |= !tcp.syn() && !tcp.rst();
        if tcp.ack_flag() {
            self.acks.primary(tcp.ack);
        }
        if let Err(trouble) = trouble {
            self.stream.block();
            outlet.trouble(key, outlet.epochs.current, self.oldest(), trouble);
        }
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
            Kind::Syn { .. } => self.secondary_syn(epoch, frame, tcp, outlet.limits.pending_bytes),
            Kind::Reset => {
                self.secondary_reset = true;
                Ok(())
            }
            // Its numbers are not those of the connection that is known.
            _ if self.handshake.is_ahead() => Ok(()),
            _ => {
                if tcp.ack_flag() {
                    self.acks.secondary(tcp.ack);
                }
                self.stream.secondary(piece(tcp), outlet.limits.pending_bytes)
            }
        };
        if let Err(trouble) = trouble {
            self.stop_agreeing();
            outlet.trouble(key, epoch, self.oldest(), trouble);
        }
        if self.stream.agreed() != agreed {
            self.patience.moved(outlet.now);
        }
        self.flush(key, outlet);
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
        if self.stream.epoch() < current {
            self.acks.cut();
            self.handshake.cut();
        }
        let secondary_too = epochs.may_agree(current) || label == Some(current);
        if self.stream.turn(current, secondary_too) {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.acks.restart();
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
