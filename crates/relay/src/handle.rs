//! The relay as the agent sees it: calls that reach the thread in order.

use crate::command::{Command, Reply, UplinkKind};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Event, Shared, ring};
use crate::socket::{adopt, tune_tcp, tune_vm};
use crate::vm_port::VmPort;
use colo_link::{MAX_FRAME, MAX_PAYLOAD, Tls};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Calls that may wait for the thread.
const COMMANDS: usize = 1024;
/// How long the thread may take to answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// A running relay. All calls may come from any thread; dropping it ends the thread.
pub struct Relay {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
    pub(crate) config: Config,
}

impl Relay {
    /// Starts the thread: role closed, gate closed.
    ///
    /// # Errors
    /// The system has no descriptor or thread left.
    pub fn start(config: Config) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new()?);
        let (commands, receiver) = sync_channel(COMMANDS);
        let thread = spawn(config, Arc::clone(&shared), receiver)?;
        Ok(Self {
            shared,
            commands,
            thread: Mutex::new(Some(thread)),
            config,
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
        self.check_offloads(nic, false)?;
        let fd = adopt(fd)?;
        tune_vm(&fd)?;
        let port = VmPort::stream(fd);
        self.order(Command::AttachVm { nic, port })
    }

    /// Attaches the VM of a card with offloads, in place of an earlier one: `far`, our end of a cable of two taps, and
    /// `near`, the VM's, which QEMU reads (both copied). What `far` is given must be at `near` when the write is done,
    /// and the other way round.
    ///
    /// # Errors
    /// No such card, or one without offloads, or a descriptor cannot be used.
    pub fn attach_vm_tap(&self, nic: u8, far: BorrowedFd<'_>, near: BorrowedFd<'_>) -> Result<(), Error> {
        self.check_nic(nic)?;
        self.check_offloads(nic, true)?;
        let port = VmPort::tap(adopt(far)?, adopt(near)?);
        self.order(Command::AttachVm { nic, port })
    }

    /// Attaches an uplink (copied), in place of an earlier one.
    ///
    /// # Errors
    /// No such card, or the descriptor cannot be used.
    pub fn attach_uplink(&self, nic: u8, fd: BorrowedFd<'_>, kind: UplinkKind) -> Result<(), Error> {
        self.check_nic(nic)?;
        if kind == UplinkKind::Stream {
            self.check_offloads(nic, false)?;
        }
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
        tune_tcp(
            &fd,
            u32::try_from(self.config.peer_timeout_ms).unwrap_or(u32::MAX),
        )?;
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

    pub(crate) fn order(&self, command: Command) -> Result<(), Error> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Disconnected(_) => Error::Stopped,
        })?;
        ring(&self.shared.wake);
        Ok(())
    }

    pub(crate) fn ask<T>(
        &self,
        what: &'static str,
        make: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        self.ask_within(what, ANSWER, make)
    }

    pub(crate) fn ask_within<T>(
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

    fn check_offloads(&self, nic: u8, wanted: bool) -> Result<(), Error> {
        if self.config.has_offloads(nic) == wanted {
            Ok(())
        } else {
            Err(Error::Refused(
                "a card has offloads at the VM and at its uplink, or at neither",
            ))
        }
    }

    fn check_nic(&self, nic: u8) -> Result<(), Error> {
        if nic < self.config.nics {
            Ok(())
        } else {
            Err(Error::NoSuchNic {
                nic,
                nics: self.config.nics,
            })
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
