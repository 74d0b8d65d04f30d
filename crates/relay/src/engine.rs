//! The thread: waits, then gives each descriptor, call and deadline its turn.

use crate::capture::Ring;
use crate::clock::{MS, boottime_ns};
use crate::command::Command;
use crate::config::{Config, new_compare};
use crate::event::{Event, Shared, hush};
use crate::gate::Gate;
use crate::heartbeat::Signal;
use crate::ingress::Ingress;
use crate::link::Link;
use crate::nic::Nic;
use crate::primary::Numbers;
use crate::secondary::Secondary;
use crate::shelf::Shelf;
use crate::stats::Counters;
use crate::vm_port::VmPort;
use crate::watched::Watched;
use colo_compare::{Compare, Log, Translator};
use rustix::event::PollFlags;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};

/// A link that is not up by then never will be.
const HANDSHAKE: u64 = 5_000 * MS;
/// How often to ask whether the VM has read everything: nothing tells.
const PAUSE_POLL: u64 = 200_000;
/// How often to ask whether a VM on a tap takes more: nothing tells.
const TAP_POLL: u64 = MS;

/// See docs/architecture.md, "Relay roles".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Closed,
    Alone,
    Primary,
    Secondary,
}

/// A descriptor that poll watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Wake,
    Vm(u8),
    Uplink(u8),
    Link,
}

pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) shared: Arc<Shared>,
    commands: Receiver<Command>,
    /// Time of this turn.
    pub(crate) now: u64,
    pub(crate) role: Role,
    pub(crate) nics: Vec<Nic>,
    pub(crate) link: Option<Link>,
    pub(crate) compare: Compare,
    /// After a failover: clients speak the numbers of the VM that is gone.
    pub(crate) translator: Option<Translator>,
    pub(crate) ingress: Ingress,
    pub(crate) numbers: Numbers,
    /// Output that waits has to be told of.
    pub(crate) watched: Option<Watched>,
    pub(crate) secondary: Secondary,
    pub(crate) gate: Gate,
    pub(crate) shelf: Shelf,
    pub(crate) counters: Counters,
    pub(crate) log: Log,
    pub(crate) capture: Option<Ring>,
    /// When anything last came over a link.
    pub(crate) heard: u64,
}

impl Engine {
    pub(crate) fn new(config: Config, shared: Arc<Shared>, commands: Receiver<Command>) -> Self {
        let now = boottime_ns();
        // A whole commit may become free at once: it must find room.
        let egress = config.held_bytes.saturating_mul(2);
        Self {
            config,
            shared,
            commands,
            now,
            role: Role::Closed,
            nics: (0..config.nics).map(|_| Nic::new(egress)).collect(),
            link: None,
            compare: new_compare(config, now),
            translator: None,
            ingress: Ingress::default(),
            numbers: Numbers::default(),
            watched: None,
            secondary: Secondary::new(),
            gate: Gate::default(),
            shelf: Shelf::default(),
            counters: Counters::default(),
            log: Log::default(),
            capture: None,
            heard: now,
        }
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.wait(&mut ready)?;
            // Before looking at what it announces: what comes later rings again.
            if let Some((Token::Wake, _)) = ready.first() {
                hush(&self.shared.wake);
            }
            self.now = boottime_ns();
            if self.shared.stop.load(Ordering::Acquire) || !self.obey() {
                return Ok(());
            }
            for (token, flags) in ready.drain(..) {
                self.serve(token, flags);
            }
            self.on_time();
            self.pump();
            self.flush();
            self.end_failed_link();
        }
    }

    fn serve(&mut self, token: Token, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.unblock(token);
        }
        // An error or a hang-up shows itself in the read.
        if flags.difference(PollFlags::OUT).is_empty() {
            return;
        }
        match token {
            Token::Wake => {}
            Token::Vm(nic) => self.serve_vm(nic),
            Token::Uplink(nic) => self.serve_uplink(nic),
            Token::Link => self.serve_link(),
        }
    }

    /// Carries out what the agent asked for; false when the agent's side is gone.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.carry_out(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::AttachVm { nic, port } => self.attach_vm(nic, port),
            Command::AttachUplink { nic, fd, kind } => self.attach_uplink(nic, fd, kind),
            Command::AttachLink { fd, session, peer } => self.attach_link(fd, *session, peer),
            Command::DetachLink => self.detach_link(),
            Command::Send(payload) => self.send_control(&payload),
            Command::Inject { nic, frame } => self.inject(nic, frame),
            Command::PauseIngress { until, reply } => self.pause_ingress(until, reply),
            Command::Cut { checkpoint, reply } => answer(&reply, self.cut(checkpoint)),
            Command::ResumeIngress => self.resume_ingress(),
            Command::Bulk { bulk, reply } => answer(&reply, self.send_bulk(bulk)),
            Command::Commit(checkpoint) => self.commit(checkpoint),
            Command::CommitWhen { checkpoint, payload } => self.commit_when(checkpoint, payload),
            Command::WatchOutput(on) => self.watch_output(on),
            Command::Loaded(checkpoint) => self.compare.loaded(checkpoint, self.now),
            Command::Alone(reply) => answer(&reply, self.alone()),
            Command::BeginSecondary { replica, reply } => answer(&reply, self.begin_secondary(replica)),
            Command::SvmStopped(reply) => answer(&reply, self.svm_stopped()),
            Command::EnterEpoch { epoch, reply } => answer(&reply, self.enter_epoch(epoch)),
            Command::Stored(checkpoint) => self.stored(checkpoint),
            Command::Deliver => self.deliver(),
            Command::ForgetCut(reply) => answer(&reply, self.forget_cut()),
            Command::Promote(reply) => answer(&reply, self.promote()),
            Command::Close(reply) => answer(&reply, self.close()),
            Command::GuestAddresses { nic, reply } => answer(&reply, Ok(self.guest_addresses(nic))),
            Command::Divergences { last, reply } => answer(&reply, Ok(self.divergences(last))),
            Command::Capture(ring) => self.capture = Some(ring),
            Command::Captured(reply) => answer(&reply, self.captured()),
            Command::Stats(reply) => answer(&reply, Ok(self.stats())),
        }
    }

    fn on_time(&mut self) {
        if self
            .gate
            .lapsed(self.shared.gate.load(Ordering::Acquire), self.now)
        {
            self.tell(Event::GateClosed);
        }
        if self.role == Role::Primary {
            self.compare.on_time(self.now);
        }
        self.watch_pause();
        self.watch_peer();
    }

    fn watch_peer(&mut self) {
        let Some(link) = &mut self.link else { return };
        if !link.up && self.now >= link.since.saturating_add(HANDSHAKE) {
            link.fail("no handshake within 5 s");
        }
        if link.is_established() && link.watch.beat_is_due(self.now) {
            let progress = self.shared.progress.load(Ordering::Relaxed);
            link.push(&colo_link::Message::Heartbeat {
                progress,
                boottime: self.now,
            });
        }
        let signal = link.watch.on_time(self.now).filter(|_| link.up);
        self.tell_signal(signal);
    }

    pub(crate) fn tell_signal(&mut self, signal: Option<Signal>) {
        match signal {
            Some(Signal::Silent(ns)) => self.tell(Event::Silent { ms: ns / MS }),
            Some(Signal::Stalled(ns)) => self.tell(Event::Stalled { ms: ns / MS }),
            None => {}
        }
    }

    /// When poll must return though nothing is ready; `None` for never.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let gate = self.gate.next_deadline(self.shared.gate.load(Ordering::Acquire));
        let compare = if self.role == Role::Primary {
            self.compare.next_deadline()
        } else {
            None
        };
        let pause = self
            .ingress
            .waiting()
            .then(|| self.now.saturating_add(PAUSE_POLL));
        let mut vms = self.nics.iter().filter_map(|nic| nic.vm.as_ref());
        let tap = vms
            .any(VmPort::must_ask)
            .then(|| self.now.saturating_add(TAP_POLL));
        let link = self
            .link
            .as_ref()
            .map(|link| match (link.up, link.is_established()) {
                (false, false) => link.since.saturating_add(HANDSHAKE),
                _ => link.watch.next_deadline(),
            });
        [gate, compare, pause, tap, link].into_iter().flatten().min()
    }

    /// Queues an event; one that finds no room is lost and counted.
    pub(crate) fn tell(&mut self, event: Event) {
        if !self.shared.tell(event) {
            self.counters.events_dropped += 1;
        }
    }

    /// Queues an event of the peer's making that must not be lost: without room the link ends, which is told.
    pub(crate) fn tell_or_end(&mut self, event: Event) {
        if !self.shared.tell(event)
            && let Some(link) = &mut self.link
        {
            link.fail("the agent does not read its events");
        }
    }
}

/// Answers a call. Nobody waits any more? Then nobody needs it.
pub(crate) fn answer<T>(reply: &crate::command::Reply<T>, result: Result<T, crate::error::Error>) {
    let _ = reply.try_send(result);
}
