//! How a connection begins, and takes the place of an older one with the same ports.

use colo_packet::{Direction, Item, Tcp, classify};

use super::{Connection, piece};
use crate::event::Event;
use crate::offers::Offers;
use crate::outlet::Outlet;
use crate::pair::{Piece, Speaker, Trouble};
use crate::queue::Queue;
use crate::stream::Stream;
use crate::table::Key;
use crate::urgent::Urgent;

impl Connection {
    pub(super) fn primary_syn(
        &mut self,
        key: Key,
        tcp: &Tcp<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), Trouble> {
        if self.handshake.is_of(tcp.seq) {
            self.offers.negotiated(tcp);
            return Ok(());
        }
        self.replace(outlet);
        self.offers.negotiated(tcp);
        self.stream = Stream::begun(outlet.epochs.current, tcp.seq);
        outlet.events.push_back(Event::Isn {
            nic: key.nic,
            flow: key.flow,
            isn: tcp.seq,
        });
        let room = self.room(Speaker::Primary, outlet);
        self.stream.primary(after_syn(tcp.seq, tcp), room)?;
        let early = self.handshake.begin(tcp);
        match early.as_deref().and_then(parse) {
            Some(secondary) => {
                outlet.openings.met(key);
                self.handshake.meet(tcp, &secondary)?;
                self.greeted(tcp.seq, &secondary, outlet)
            }
            None => Ok(()),
        }
    }

    /// A new connection has the same ports: what waits of the old one waits for a commit, but acknowledgements are
    /// needless.
    fn replace(&mut self, outlet: &mut Outlet) {
        let (needless, rest): (Queue, Queue) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|segment| segment.said.kind.is_ack());
        self.queue = rest;
        self.queue.iter_mut().for_each(|segment| segment.stale = true);
        for segment in needless {
            outlet.replace(&segment.held);
        }
        (self.offers, self.urgent) = (Offers::default(), Urgent::default());
        (self.sent, self.owed) = (None, None);
        self.debt.forgive();
        (self.secondary_reset, self.reset, self.lasting) = (false, false, false);
    }

    /// The SVM's SYN: its sequence number is its own, unless it was translated.
    pub(super) fn secondary_syn(
        &mut self,
        key: Key,
        epoch: u64,
        frame: &[u8],
        tcp: &Tcp<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), Trouble> {
        if self.handshake.is_waiting() {
            let mut waiting = self.queue.iter().filter(|segment| segment.is_live_syn());
            let Some(own) = waiting.next().and_then(|segment| parse(&segment.held.frame)) else {
                return Ok(());
            };
            outlet.openings.met(key);
            self.handshake.meet(&own, tcp)?;
            let isn = own.seq;
            return self.greeted(isn, tcp, outlet);
        }
        let over = self.reset || self.stream.ended();
        if self.handshake.is_repeated(tcp, over) {
            if let Some(offer) = self.offers.of(tcp) {
                self.offers.secondary(offer, false);
            }
            return Ok(());
        }
        if epoch < self.stream.epoch() {
            return Ok(());
        }
        if outlet.pending_room() < frame.len() {
            return Err(Trouble::Full);
        }
        if !tcp.ack_flag() {
            outlet.openings.note(Speaker::Secondary, key, outlet.now);
        }
        self.handshake.keep_early(frame);
        Ok(())
    }

    /// Both have begun the same connection.
    fn greeted(&mut self, isn: u32, secondary: &Tcp<'_>, outlet: &mut Outlet) -> Result<(), Trouble> {
        if let Some(offer) = self.offers.of(secondary) {
            self.offers.secondary(offer, false);
        }
        let room = self.room(Speaker::Secondary, outlet);
        self.stream.secondary(after_syn(isn, secondary), room)
    }
}

/// What a SYN carries, at its place in the PVM's stream.
fn after_syn<'a>(isn: u32, tcp: &Tcp<'a>) -> Piece<'a> {
    Piece {
        seq: isn.wrapping_add(1),
        ..piece(tcp)
    }
}

pub(super) fn parse(frame: &[u8]) -> Option<Tcp<'_>> {
    match classify(frame, Direction::Outgoing) {
        Item::Tcp(tcp) => Some(tcp),
        _ => None,
    }
}
