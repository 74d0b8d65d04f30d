//! Datagrams and everything else without a stream: by message within a flow, in whatever order the SVM sends them.

mod doubt;

use std::collections::VecDeque;

use colo_packet::{Body, Direction, Item, classify};

use crate::held::Held;
use crate::hold::Patience;
use crate::outlet::{Outlet, Why};
use crate::table::{Key, Mortal, Slot};

/// A flow of messages has no end to see; after a minute of silence it is over.
const LIFETIME: u64 = 60_000_000_000;

/// Messages of the SVM kept for what the PVM may still send, and messages of the PVM searched for one of the SVM.
/// Beyond that two machines do not reorder, they differ.
const WINDOW: usize = 256;

#[derive(Debug)]
struct Waiting {
    held: Held,
    hash: u64,
    matched: bool,
    since: u64,
}

/// A message that only the SVM has sent.
#[derive(Debug)]
struct Extra {
    hash: u64,
    frame: Vec<u8>,
    since: u64,
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Lane {
    epoch: u64,
    seed: u64,
    queue: VecDeque<Waiting>,
    extras: VecDeque<Extra>,
    extra_bytes: usize,
    suspected: bool,
    patience: Patience,
}

impl Mortal for Lane {
    const SHORTEST: u64 = LIFETIME;

    fn lifetime(&self) -> Option<u64> {
        self.queue.is_empty().then_some(LIFETIME)
    }

    /// Nothing waits on either side: a new lane would be the same.
    fn is_spare(&self) -> bool {
        self.queue.is_empty() && self.extras.is_empty()
    }

    fn kept(&self) -> usize {
        self.extra_bytes
    }
}

impl Lane {
    pub(crate) const fn new(slot: Slot, epoch: u64, seed: u64) -> Self {
        Self {
            epoch,
            seed,
            queue: VecDeque::new(),
            extras: VecDeque::new(),
            extra_bytes: 0,
            suspected: false,
            patience: Patience::new(slot),
        }
    }

    /// The hash under which a message of this flow is found.
    pub(crate) fn hash(&self, body: &Body<'_>) -> u64 {
        body.hash64(self.seed)
    }

    /// A message of the PVM; `hash` is of its body.
    pub(crate) fn primary(&mut self, key: Key, mut held: Held, hash: u64, now: u64, outlet: &mut Outlet) {
        self.turn(outlet);
        let matched = self.take_extra(&held.frame, hash, outlet);
        outlet.holds.start(&mut held, &mut self.patience, now);
        self.queue.push_back(Waiting {
            held,
            hash,
            matched,
            since: now,
        });
        self.flush(key, outlet);
        self.suspect(key, now, outlet);
    }

    /// A message of the SVM, sent in `epoch`. What nothing can match any more is dropped.
    pub(crate) fn secondary(
        &mut self,
        key: Key,
        epoch: u64,
        frame: &[u8],
        body: &Body<'_>,
        now: u64,
        outlet: &mut Outlet,
    ) {
        self.turn(outlet);
        let hash = self.hash(body);
        let mut waiting = self.queue.iter_mut().take(WINDOW);
        let found = waiting.find(|waiting| {
            !waiting.matched
                && waiting.hash == hash
                && waiting.held.epoch == epoch
                && body_of(&waiting.held.frame).is_some_and(|other| other.equals(body))
        });
        if let Some(found) = found {
            found.matched = true;
            let waiting = self.queue.len();
            self.flush(key, outlet);
            if self.queue.len() < waiting {
                self.patience.moved(now);
            }
        } else if epoch == self.epoch {
            self.keep(
                Extra {
                    hash,
                    frame: frame.to_vec(),
                    since: now,
                },
                outlet,
            );
            self.suspect(key, now, outlet);
        } else {
            outlet.stats.late_secondary += 1;
        }
    }

    /// What the SVM sent in earlier epochs can match nothing new.
    fn turn(&mut self, outlet: &mut Outlet) {
        let current = outlet.epochs.current;
        if self.epoch < current {
            self.epoch = current;
            self.extras.clear();
            outlet.pending -= std::mem::take(&mut self.extra_bytes);
            self.suspected = false;
        }
    }

    fn take_extra(&mut self, frame: &[u8], hash: u64, outlet: &mut Outlet) -> bool {
        let equal = |extra: &Extra| {
            extra.hash == hash
                && body_of(&extra.frame)
                    .zip(body_of(frame))
                    .is_some_and(|(one, other)| one.equals(&other))
        };
        let Some(extra) = self
            .extras
            .iter()
            .position(equal)
            .and_then(|index| self.extras.remove(index))
        else {
            return false;
        };
        self.extra_bytes -= extra.frame.len();
        outlet.pending -= extra.frame.len();
        true
    }

    fn keep(&mut self, extra: Extra, outlet: &mut Outlet) {
        if outlet.pending_room() < extra.frame.len() {
            outlet.stats.unmatched_secondary += 1;
            return outlet.tell_queue_limit();
        }
        self.extra_bytes += extra.frame.len();
        outlet.pending += extra.frame.len();
        self.extras.push_back(extra);
        while self.extras.len() > WINDOW || self.extra_bytes > outlet.limits.pending_bytes {
            let Some(oldest) = self.extras.pop_front() else {
                break;
            };
            self.extra_bytes -= oldest.frame.len();
            outlet.pending -= oldest.frame.len();
            outlet.stats.unmatched_secondary += 1;
        }
    }

    /// Lets go from the front what may go: a message does not overtake an earlier one of its flow.
    pub(crate) fn flush(&mut self, key: Key, outlet: &mut Outlet) {
        while let Some(front) = self.queue.front() {
            let epoch = front.held.epoch;
            let why = match (
                outlet.epochs.is_committed(epoch),
                front.matched && outlet.epochs.may_agree(epoch),
            ) {
                (true, _) => Why::Committed,
                (false, true) => Why::Agreed,
                (false, false) => break,
            };
            let Some(waiting) = self.queue.pop_front() else {
                break;
            };
            outlet.release(key.nic, waiting.held, why);
        }
    }

    /// A checkpoint was committed.
    pub(crate) fn committed(&mut self, key: Key, outlet: &mut Outlet) {
        self.turn(outlet);
        self.flush(key, outlet);
    }

    /// Takes out what `take` says, from the front.
    pub(crate) fn drain(&mut self, take: impl Fn(&Held) -> bool, into: &mut Vec<(u8, Held)>, nic: u8) {
        while self.queue.front().is_some_and(|waiting| take(&waiting.held)) {
            into.extend(self.queue.pop_front().map(|waiting| (nic, waiting.held)));
        }
    }

    /// Since when its oldest frame of this epoch waits.
    pub(crate) fn waits(&mut self, epoch: u64) -> (Option<u64>, &mut Patience) {
        let mut waiting = self.queue.iter().map(|waiting| &waiting.held);
        let oldest = waiting.find(|held| held.epoch == epoch);
        (oldest.and_then(|held| held.since), &mut self.patience)
    }
}

fn body_of(frame: &[u8]) -> Option<Body<'_>> {
    match classify(frame, Direction::Outgoing) {
        Item::Message { body, .. } => Some(body),
        _ => None,
    }
}
