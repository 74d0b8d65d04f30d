//! The relay as the agent sees it: calls that reach the thread in order.

use crate::clock::boottime_ns;
use crate::command::{Bulk, Command, Reply, UplinkKind};
use crate::engine::{Config, Engine};
use crate::error::Error;
use crate::event::{Event, Shared, ring};
use crate::socket::{adopt, tune_tcp};
use colo_link::{MAX_FRAME, MAX_PAYLOAD, Tls};
use colo_ram::{BulkSource, Replica};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Calls that may wait for the thread.
const COMMANDS: usize = 1024;
/// How long the thread may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A running relay. All calls may come from any thread; dropping it ends the thread.
pub struct Relay {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
    nics: u8,
    user_timeout_ms: u32,
}

impl Relay {
    /// Starts the thread: role closed, gate closed.
    ///
    /// # Errors
    /// The system has no descriptor or thread left.
    pub fn start(config: Config) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new()?);
        let (commands, receiver) = sync_channel(COMMANDS);
        let (nics, user_timeout_ms) = (
            config.nics,
            u32::try_from(config.peer_timeout_ms).unwrap_or(u32::MAX),
        );
        let thread = spawn(config, Arc::clone(&shared), receiver)?;
        Ok(Self {
            shared,
            commands,
            thread: Mutex::new(Some(thread)),
            nics,
            user_timeout_ms,
        })
    }

    /// An eventfd, readable while [`Relay::events`] has something.
    #[must_use]
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.shared.told.as_fd()
    }

    /// Takes all events that have happened.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.shared.take_events()
    }

    /// Says that the decision loop lives; heartbeats carry it.
    pub fn progress(&self) {
        self.shared.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Frames may leave until this CLOCK_BOOTTIME in nanoseconds. Takes effect at once.
    pub fn gate(&self, until_ns: u64) {
        self.shared.gate.store(until_ns, Ordering::Release);
        ring(&self.shared.wake);
    }

    /// Attaches the connected socket of a VM's stream netdev (copied), in place of an earlier one.
    ///
    /// # Errors
    /// No such card, or the socket cannot be used.
    pub fn attach_vm(&self, nic: u8, fd: BorrowedFd<'_>) -> Result<(), Error> {
        self.check_nic(nic)?;
        self.order(Command::AttachVm { nic, fd: adopt(fd)? })
    }

    /// Attaches an uplink (copied), in place of an earlier one.
    ///
    /// # Errors
    /// No such card, or the descriptor cannot be used.
    pub fn attach_uplink(&self, nic: u8, fd: BorrowedFd<'_>, kind: UplinkKind) -> Result<(), Error> {
        self.check_nic(nic)?;
        self.order(Command::AttachUplink {
            nic,
            fd: adopt(fd)?,
            kind,
        })
    }

    /// Attaches a connected TCP socket (copied) as the link to `peer`, in place of an earlier one.
    ///
    /// # Errors
    /// The socket is not TCP, or `peer` is no node name.
    pub fn attach_link(&self, fd: BorrowedFd<'_>, tls: &Tls, peer: &str, server: bool) -> Result<(), Error> {
        let session = Box::new(if server {
            tls.server(peer)?
        } else {
            tls.client(peer)?
        });
        let fd = adopt(fd)?;
        tune_tcp(&fd, self.user_timeout_ms)?;
        self.order(Command::AttachLink {
            fd,
            session,
            peer: peer.to_owned(),
        })
    }

    /// Ends the link; no event tells it. What waited to be sent is sent as far as the socket takes it at once.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn detach_link(&self) -> Result<(), Error> {
        self.order(Command::DetachLink)
    }

    /// Sends a CONTROL message; without a link it is lost.
    ///
    /// # Errors
    /// It is longer than a message may be.
    pub fn send(&self, payload: Vec<u8>) -> Result<(), Error> {
        check_length(payload.len(), MAX_PAYLOAD)?;
        self.order(Command::Send(payload))
    }

    /// Sends a frame of the agent's own to the uplink; the gate applies.
    ///
    /// # Errors
    /// No such card, or the frame is too long.
    pub fn inject(&self, nic: u8, frame: Vec<u8>) -> Result<(), Error> {
        self.check_nic(nic)?;
        check_length(frame.len(), MAX_FRAME)?;
        self.order(Command::Inject { nic, frame })
    }

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

    /// Sends a pre-copy round of `pages` pages; [`Event::Sent`] tells its end.
    ///
    /// # Errors
    /// There is no link, or too many rounds wait.
    pub fn send_pages(&self, source: impl BulkSource + 'static, pages: u64) -> Result<(), Error> {
        self.bulk(Box::new(source), Some(pages))
    }

    /// Sends a checkpoint's state.
    ///
    /// # Errors
    /// There is no link, or too many wait.
    pub fn send_state(&self, source: impl BulkSource + 'static) -> Result<(), Error> {
        self.bulk(Box::new(source), None)
    }

    /// The secondary holds all of `checkpoint`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn commit(&self, checkpoint: u64) -> Result<(), Error> {
        self.order(Command::Commit(checkpoint))
    }

    /// The SVM runs what follows `checkpoint`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn loaded(&self, checkpoint: u64) -> Result<(), Error> {
        self.order(Command::Loaded(checkpoint))
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

    /// (MAC, IP) pairs last seen as source of the VM's frames, 16 at most.
    ///
    /// # Errors
    /// No such card.
    pub fn guest_addresses(&self, nic: u8) -> Result<Vec<(String, String)>, Error> {
        self.check_nic(nic)?;
        self.ask("guest_addresses", |reply| Command::GuestAddresses { nic, reply })
    }

    /// Counters and gauges by name.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn stats(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        self.ask("stats", Command::Stats)
    }

    /// Ends the thread; descriptors are closed when this returns.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        self.shared.stop.store(true, Ordering::Release);
        ring(&self.shared.wake);
        // It looks at the flag each turn, and a turn never blocks. What a panic had to say was told as an event.
        let _ = thread.join();
    }

    fn bulk(&self, source: Box<dyn BulkSource>, precopy_pages: Option<u64>) -> Result<(), Error> {
        let bulk = Bulk {
            source,
            precopy_pages,
            bytes: 0,
        };
        self.ask("send", |reply| Command::Bulk { bulk, reply })
    }

    fn order(&self, command: Command) -> Result<(), Error> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Disconnected(_) => Error::Stopped,
        })?;
        ring(&self.shared.wake);
        Ok(())
    }

    fn ask<T>(&self, what: &'static str, make: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        self.ask_within(what, ANSWER, make)
    }

    fn ask_within<T>(
        &self,
        what: &'static str,
        wait: Duration,
        make: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = sync_channel(1);
        self.order(make(reply))?;
        match answer.recv_timeout(wait) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(Error::Timeout(what)),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Stopped),
        }
    }

    fn check_nic(&self, nic: u8) -> Result<(), Error> {
        if nic < self.nics {
            Ok(())
        } else {
            Err(Error::NoSuchNic { nic, nics: self.nics })
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

fn check_length(length: usize, limit: usize) -> Result<(), Error> {
    if length <= limit {
        Ok(())
    } else {
        Err(Error::TooLong { length, limit })
    }
}

fn spawn(config: Config, shared: Arc<Shared>, commands: Receiver<Command>) -> Result<JoinHandle<()>, Error> {
    let run = move || {
        let told = Arc::clone(&shared);
        // Nothing here should panic; if something does, the agent must hear of it rather than wait.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Engine::new(config, shared, commands).run()
        }));
        let why = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a fault in the relay itself".to_owned(),
        };
        told.tell(Event::Fatal { why });
    };
    std::thread::Builder::new()
        .name("colo-relay".into())
        .spawn(run)
        .map_err(Error::os("thread"))
}
