//! One TCP connection: what the PVM sent waits here until the SVM has sent the same.

use colo_packet::{Direction, Item, Tcp, classify, set_ack};

use crate::acks::Acks;
use crate::epochs::Epochs;
use crate::event::Event;
use crate::handshake::Handshake;
use crate::hold::Held;
use crate::outlet::{Outlet, Why};
use crate::pair::{Piece, Trouble};
use crate::queue::{Kind, Queue, Segment, take_replaced};
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
            outlet.trouble(key, outlet.epochs.current, trouble);
        }
    }

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
            outlet.time(key, &mut last.held, now);
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
            outlet.trouble(key, epoch, trouble);
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

    fn primary_syn(&mut self, key: Key, tcp: &Tcp<'_>, outlet: &mut Outlet) -> Result<(), Trouble> {
        if self.handshake.is_of(tcp.seq) {
            return Ok(());
        }
        self.replace(outlet);
        self.stream = Stream::begun(outlet.epochs.current, tcp.seq);
        outlet.events.push_back(Event::Isn {
            nic: key.nic,
            flow: key.flow,
            isn: tcp.seq,
        });
        let limit = outlet.limits.pending_bytes;
        self.stream.primary(after_syn(tcp.seq, tcp), limit)?;
        let early = self.handshake.begin(tcp);
        match early.as_deref().and_then(parse) {
            Some(secondary) => {
                self.handshake.meet(tcp, &secondary)?;
                self.greeted(tcp.seq, &secondary, limit)
            }
            None => Ok(()),
        }
    }

    /// A new connection has the same ports: what waits of the old one waits for a commit, but acknowledgements are
    /// needless.
    fn replace(&mut self, outlet: &mut Outlet) {
        let (needless, rest): (Queue, Queue) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|segment| segment.kind.is_ack());
        self.queue = rest;
        self.queue.iter_mut().for_each(|segment| segment.stale = true);
        for segment in needless {
            outlet.stats.replaced_acks += 1;
            outlet.let_go(segment.held);
        }
        self.acks = Acks::default();
        (self.secondary_reset, self.reset, self.lasting) = (false, false, false);
    }

    /// The SVM's SYN: its sequence number is its own, unless it was translated.
    fn secondary_syn(
        &mut self,
        epoch: u64,
        frame: &[u8],
        tcp: &Tcp<'_>,
        limit: usize,
    ) -> Result<(), Trouble> {
        if self.handshake.is_waiting() {
            let mut waiting = self.queue.iter().filter(|segment| segment.is_live_syn());
            let Some(own) = waiting.next().and_then(|segment| parse(&segment.held.frame)) else {
                return Ok(());
            };
            self.handshake.meet(&own, tcp)?;
            let isn = own.seq;
            return self.greeted(isn, tcp, limit);
        }
        let over = self.reset || self.stream.ended();
        if epoch == self.stream.epoch() && !self.handshake.is_repeated(tcp, over) {
            self.handshake.keep_early(frame);
        }
        Ok(())
    }

    /// Both have begun the same connection.
    fn greeted(&mut self, isn: u32, secondary: &Tcp<'_>, limit: usize) -> Result<(), Trouble> {
        if secondary.ack_flag() {
            self.acks.secondary(secondary.ack);
        }
        self.stream.secondary(after_syn(isn, secondary), limit)
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

fn piece<'a>(tcp: &Tcp<'a>) -> Piece<'a> {
    Piece {
        seq: tcp.seq,
        payload: tcp.payload,
        fin: tcp.fin(),
    }
}

/// What a SYN carries, at its place in the PVM's stream.
fn after_syn<'a>(isn: u32, tcp: &Tcp<'a>) -> Piece<'a> {
    Piece {
        seq: isn.wrapping_add(1),
        ..piece(tcp)
    }
}

fn parse(frame: &[u8]) -> Option<Tcp<'_>> {
    match classify(frame, Direction::Outgoing) {
        Item::Tcp(tcp) => Some(tcp),
        _ => None,
    }
}
