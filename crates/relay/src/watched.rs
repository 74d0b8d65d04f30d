//! Telling the agent that what the PVM said waits for a checkpoint.

use crate::engine::{Engine, Role};
use crate::event::Event;
use colo_packet::{Direction, segment};

/// The first epochs in which output that waits has to be told of.
#[derive(Default)]
pub(crate) struct Watched {
    acks_from: u64,
    more_from: u64,
}

impl Watched {
    fn is_due(&self, epoch: u64, only_acks: bool) -> bool {
        epoch >= if only_acks { self.acks_from } else { self.more_from }
    }

    fn told(&mut self, epoch: u64, only_acks: bool) {
        let next = epoch.saturating_add(1);
        self.acks_from = next;
        if !only_acks {
            self.more_from = next;
        }
    }
}

/// Whether a frame of the VM is one that a client seldom waits for.
pub(crate) fn only_acknowledges(frame: &[u8]) -> bool {
    segment(frame, Direction::Outgoing).is_some_and(|tcp| tcp.only_acknowledges())
}

impl Engine {
    /// From now on it is told when something waits; what waits already is told at once.
    pub(crate) fn watch_output(&mut self, on: bool) {
        self.watched = on.then(Watched::default);
        self.note_output(false);
    }

    pub(crate) fn note_output(&mut self, only_acks: bool) {
        let (epoch, primary) = (self.compare.epoch(), self.role == Role::Primary);
        let Some(watched) = self.watched.as_mut().filter(|_| primary) else {
            return;
        };
        if watched.is_due(epoch, only_acks) && self.compare.stats().held_frames > 0 {
            watched.told(epoch, only_acks);
            self.tell(Event::Output { epoch, only_acks });
        }
    }
}
