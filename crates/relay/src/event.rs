//! Events for the agent, and the little that both threads touch.

use crate::clock::boottime_ns;
use crate::error::Error;
use colo_ram::Tally;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Events that may wait. Beyond, the agent counts as gone: the link is closed (its end is still told),
/// other events are dropped and counted.
const WAITING: usize = 4096;

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both sides have accepted each other.
    LinkUp {
        /// The peer's node name.
        peer: String,
    },
    /// The link is gone; attach another one.
    LinkDown {
        /// Why.
        reason: String,
    },
    /// A CONTROL message.
    Control(Vec<u8>),
    /// Nothing arrived from the peer for this long.
    Silent {
        /// Milliseconds.
        ms: u64,
    },
    /// Heartbeats arrive, but the peer's decision loop stands still.
    Stalled {
        /// Milliseconds.
        ms: u64,
    },
    /// PVM and SVM said different things.
    Divergence {
        /// Which network card.
        nic: u8,
        /// The connection, for people.
        flow: String,
        /// What differs.
        kind: String,
        /// Where, with a few bytes of both.
        detail: String,
        /// Milliseconds the PVM's answer had waited by then.
        ms: u64,
        /// The PVM's epoch: the checkpoint that ends it settles this.
        epoch: u64,
    },
    /// A frame of the PVM waited too long.
    HoldLimit {
        /// Which network card.
        nic: u8,
        /// The connection, for people.
        flow: String,
        /// Milliseconds it waited.
        ms: u64,
        /// See [`Event::Divergence`].
        epoch: u64,
    },
    /// The PVM said something in this epoch that waits. Told while it is asked for, once per epoch, and once more if
    /// it was only acknowledgements so far.
    Output {
        /// Which.
        epoch: u64,
        /// TCP acknowledgements without anything else. What was held before it was asked for may be more.
        only_acks: bool,
    },
    /// What is held has reached a limit.
    QueueLimit {
        /// Bytes held.
        bytes: u64,
    },
    /// A pre-copy round or a checkpoint's state is out.
    Sent {
        /// Which; 0 is pre-copy.
        checkpoint: u64,
        /// How it was sent.
        tally: Tally,
    },
    /// The replica holds all of a checkpoint.
    StateComplete {
        /// Which.
        checkpoint: u64,
        /// Pages of it.
        pages: u64,
        /// Bytes of device state.
        bytes: u64,
    },
    /// What arrived of a checkpoint does not fit; the replica has forgotten it.
    StateDamaged {
        /// Which.
        checkpoint: u64,
        /// What does not fit.
        why: String,
    },
    /// The VM's socket is gone.
    VmClosed {
        /// Which network card.
        nic: u8,
    },
    /// The uplink is gone.
    UplinkClosed {
        /// Which network card.
        nic: u8,
    },
    /// The gate was open and is closed now.
    GateClosed,
    /// The thread has ended. Nothing works any more.
    Fatal {
        /// Why.
        why: String,
    },
}

impl Event {
    /// Must be told even to an agent that reads no events; each happens a bounded number of times per call of it.
    fn is_vital(&self) -> bool {
        matches!(
            self,
            Self::LinkDown { .. } | Self::GateClosed | Self::Fatal { .. }
        )
    }
}

/// What the agent's threads and the relay's thread share.
pub(crate) struct Shared {
    events: Mutex<VecDeque<Event>>,
    pub(crate) told: OwnedFd,
    pub(crate) wake: OwnedFd,
    pub(crate) gate: AtomicU64,
    pub(crate) progress: AtomicU64,
    pub(crate) stop: AtomicBool,
}

impl Shared {
    pub(crate) fn new() -> Result<Self, Error> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self {
            events: Mutex::default(),
            told: eventfd(0, flags).map_err(Error::os("eventfd"))?,
            wake: eventfd(0, flags).map_err(Error::os("eventfd"))?,
            gate: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Whether a frame may leave now.
    pub(crate) fn gate_is_open(&self) -> bool {
        boottime_ns() < self.gate.load(Ordering::Acquire)
    }

    /// Queues an event; false when the agent does not read its events and it was dropped.
    pub(crate) fn tell(&self, event: Event) -> bool {
        let mut events = self.lock();
        if events.len() >= WAITING && !event.is_vital() {
            return false;
        }
        events.push_back(event);
        drop(events);
        ring(&self.told);
        true
    }

    /// Takes all events.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        hush(&self.told);
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        // The queue is whole at any time, whatever ended its other user.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an eventfd readable. It cannot fail but by being readable already.
pub(crate) fn ring(fd: &OwnedFd) {
    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

/// Makes an eventfd unreadable. It cannot fail but by being unreadable already.
pub(crate) fn hush(fd: &OwnedFd) {
    let _ = rustix::io::read(fd, &mut [0; 8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_reads_nothing_still_gets_the_vital_events() {
        let shared = Shared::new().unwrap();
        let accepted = (0..2 * WAITING)
            .filter(|_| shared.tell(Event::Control(vec![1])))
            .count();
        assert_eq!(accepted, WAITING);
        assert!(shared.tell(Event::LinkDown { reason: "x".into() }));
        let events = shared.take_events();
        assert_eq!(events.len(), WAITING + 1);
        assert_eq!(events.last(), Some(&Event::LinkDown { reason: "x".into() }));
        assert!(shared.take_events().is_empty());
    }

    #[test]
    fn the_gate_is_closed_until_it_is_opened_and_after_its_time() {
        let shared = Shared::new().unwrap();
        assert!(!shared.gate_is_open());
        shared
            .gate
            .store(boottime_ns() + 60_000_000_000, Ordering::Release);
        assert!(shared.gate_is_open());
        shared.gate.store(boottime_ns() - 1, Ordering::Release);
        assert!(!shared.gate_is_open());
    }
}
