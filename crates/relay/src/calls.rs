//! The calls that carry the agent's decisions: roles, cuts, commits, state.

use crate::clock::boottime_ns;
use crate::command::{Bulk, Command};
use crate::error::Error;
use crate::handle::{ANSWER, Relay};
use colo_ram::{BulkSource, Replica, Tally};
use std::sync::Arc;
use std::time::Duration;

impl Relay {
    /// Holds back frames from the uplinks and waits until the VM has read what it was sent; false when it has not
    /// after `timeout`. Ingress stays paused either way.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn pause_ingress(&self, timeout: Duration) -> Result<bool, Error> {
        let wait = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let until = boottime_ns().saturating_add(wait);
        let answer = timeout.saturating_add(ANSWER);
        self.ask_within("pause_ingress", answer, |reply| Command::PauseIngress {
            until,
            reply,
        })
    }

    /// The VM is stopped: takes the rest of its output, then begins the epoch after `checkpoint`, here and on the link.
    /// The first cut makes this side the primary.
    ///
    /// # Errors
    /// There is no link, or this side is a secondary or closed.
    pub fn cut(&self, checkpoint: u64) -> Result<(), Error> {
        self.ask("cut", |reply| Command::Cut { checkpoint, reply })
    }

    /// Lets frames from the uplinks in again, those held back first.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn resume_ingress(&self) -> Result<(), Error> {
        self.order(Command::ResumeIngress)
    }

    /// Sends a pre-copy round or a checkpoint's state; [`Event::Sent`] tells its end.
    ///
    /// # Errors
    /// There is no link, or too many transfers wait.
    pub fn send_bulk(&self, source: impl BulkSource + 'static) -> Result<(), Error> {
        let bulk = Bulk {
            source: Box::new(source),
            tally: Tally::default(),
        };
        self.ask("send", |reply| Command::Bulk { bulk, reply })
    }

    /// The secondary holds all of `checkpoint`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn commit(&self, checkpoint: u64) -> Result<(), Error> {
        self.order(Command::Commit(checkpoint))
    }

    /// Commits at once when the peer's agent says exactly this, over the link there is now; it is told as ever.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn commit_when(&self, checkpoint: u64, payload: Vec<u8>) -> Result<(), Error> {
        self.order(Command::CommitWhen { checkpoint, payload })
    }

    /// The SVM runs what follows `checkpoint`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn loaded(&self, checkpoint: u64) -> Result<(), Error> {
        self.order(Command::Loaded(checkpoint))
    }

    /// From now on [`Event::Output`](crate::Event::Output) tells when output waits, or no more.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn watch_output(&self, on: bool) -> Result<(), Error> {
        self.order(Command::WatchOutput(on))
    }

    /// There is no secondary (any more): what is held goes, the VM runs alone.
    ///
    /// # Errors
    /// This side is a secondary.
    pub fn alone(&self) -> Result<(), Error> {
        self.ask("alone", Command::Alone)
    }

    /// Becomes the secondary of whoever is at the other end of the link, with nothing of a VM yet.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin_secondary(&self, replica: Arc<Replica>) -> Result<(), Error> {
        self.ask("begin_secondary", |reply| Command::BeginSecondary {
            replica,
            reply,
        })
    }

    /// The SVM is stopped: what it sends is dropped until [`Relay::enter_epoch`].
    ///
    /// # Errors
    /// This side is not a secondary.
    pub fn svm_stopped(&self) -> Result<(), Error> {
        self.ask("svm_stopped", Command::SvmStopped)
    }

    /// The SVM was loaded and is about to run: drops all it has sent, forgets translations, labels what follows.
    ///
    /// # Errors
    /// This side is not a secondary.
    pub fn enter_epoch(&self, epoch: u64) -> Result<(), Error> {
        self.ask("enter_epoch", |reply| Command::EnterEpoch { epoch, reply })
    }

    /// The replica's cache holds `checkpoint`: what came in before its cut needs no delivery any more. While the SVM
    /// rests, the next cut may come from now on.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn stored(&self, checkpoint: u64) -> Result<(), Error> {
        self.order(Command::Stored(checkpoint))
    }

    /// The SVM runs: what came in after the cut goes to it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn deliver(&self) -> Result<(), Error> {
        self.order(Command::Deliver)
    }

    /// The checkpoint will never be whole: what came in after its cut goes to the SVM.
    ///
    /// # Errors
    /// This side is not a secondary.
    pub fn forget_cut(&self) -> Result<(), Error> {
        self.ask("forget_cut", Command::ForgetCut)
    }

    /// The secondary takes over: alone, with its translations, its last output going out.
    ///
    /// # Errors
    /// This side is not a secondary.
    pub fn promote(&self) -> Result<(), Error> {
        self.ask("promote", Command::Promote)
    }

    /// Nothing in, nothing out from when this returns; queues are dropped.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn close(&self) -> Result<(), Error> {
        self.ask("close", Command::Close)
    }
}
