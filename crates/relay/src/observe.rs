//! What can be looked at afterwards: divergences, and the frames around one.

use crate::capture::{Origin, Ring, Source};
use crate::clock::{boottime_ns, realtime_ns};
use crate::command::Command;
use crate::engine::{Engine, Role};
use crate::error::Error;
use crate::handle::Relay;
use colo_compare::{Difference, Divergence};

/// Divergences by kind since the relay's start, and the last ones, oldest first.
pub type Divergences = (Vec<(Difference, u64)>, Vec<Divergence>);

impl Relay {
    /// All divergences by kind, and the last `last` of the 256 that are kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn divergences(&self, last: usize) -> Result<Divergences, Error> {
        self.ask("divergences", |reply| Command::Divergences { last, reply })
    }

    /// From now on the last frames of the PVM, the SVM and the uplink are kept while this side is the primary, in
    /// `bytes` of memory. When a divergence or hold limit is told, a few more frames are taken, then no more until
    /// [`Relay::captured`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn capture(&self, bytes: usize) -> Result<(), Error> {
        self.order(Command::Capture(Ring::new(bytes)))
    }

    /// Takes the kept frames, as a pcapng file with this comment; an empty ring takes the place of the old one.
    ///
    /// # Errors
    /// There is no capture.
    pub fn captured(&self, comment: &str) -> Result<Vec<u8>, Error> {
        let ring = self.ask("captured", Command::Captured)?;
        self.capture(ring.len())?;
        let since_epoch = realtime_ns().saturating_sub(boottime_ns());
        Ok(ring.to_pcapng(self.config.nics, since_epoch, comment))
    }
}

impl Engine {
    pub(crate) fn divergences(&self, last: usize) -> Divergences {
        (
            self.log.counts().collect(),
            self.log.last(last).cloned().collect(),
        )
    }

    pub(crate) fn captured(&mut self) -> Result<Ring, Error> {
        self.capture
            .take()
            .ok_or(Error::Refused("nothing is being captured"))
    }

    /// What the comparison remembers outlives it.
    pub(crate) fn note_divergences(&mut self) {
        let log = self.compare.take_log();
        if !log.is_empty() {
            self.log.absorb(log);
        }
    }

    /// A frame for whoever looks at a divergence later.
    pub(crate) fn keep(&mut self, source: Source, nic: u8, epoch: u64, frame: &[u8]) {
        let at = self.now;
        if let Some(ring) = self.capture.as_mut().filter(|_| self.role == Role::Primary) {
            let origin = Origin {
                at,
                source,
                nic,
                epoch,
            };
            ring.push(origin, frame);
        }
    }

    /// The agent is told of something that the frames kept now explain.
    pub(crate) fn notice(&mut self) {
        if let Some(ring) = &mut self.capture {
            ring.notice();
        }
    }
}
