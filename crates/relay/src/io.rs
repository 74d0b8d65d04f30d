//! The engine's descriptors: waiting for them, attaching them, reading and writing them.

use crate::clock::boottime_ns;
use crate::command::UplinkKind;
use crate::engine::{Engine, Role, Token};
use crate::error::Error;
use crate::event::Event;
use crate::nic::Nic;
use crate::port::Closed;
use crate::uplink::Uplink;
use crate::vm_port::VmPort;
use colo_link::Progress;
use colo_packet::Offload;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

const NS_PER_S: u64 = 1_000_000_000;
/// Reads of one VM in one turn.
const VM_READS: usize = 4;
/// Reads of a stopped VM, 256 KiB each: its socket holds far less.
const DRAIN_READS: usize = 256;

impl Engine {
    /// Waits until a descriptor is ready or a deadline has come.
    pub(crate) fn wait(&self, ready: &mut Vec<(Token, PollFlags)>) -> io::Result<()> {
        let mut tokens = vec![Token::Wake];
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        let mut watch = |token, fd, flags| {
            tokens.push(token);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        for (index, nic) in (0..).zip(&self.nics) {
            if let Some(vm) = &nic.vm {
                watch(
                    Token::Vm(index),
                    vm.as_fd(),
                    flags(self.may_read_vm(nic), vm.is_blocked()),
                );
            }
            if let Some(uplink) = &nic.uplink {
                watch(
                    Token::Uplink(index),
                    uplink.as_fd(),
                    flags(true, uplink.is_blocked()),
                );
            }
        }
        if let Some(link) = &self.link {
            watch(
                Token::Link,
                link.as_fd(),
                flags(true, link.progress == Progress::Blocked),
            );
        }
        match poll(&mut fds, self.timeout().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let found = tokens.into_iter().zip(fds.iter().map(PollFd::revents));
        ready.extend(found.filter(|(_, flags)| !flags.is_empty()));
        Ok(())
    }

    fn timeout(&self) -> Option<Timespec> {
        if self
            .link
            .as_ref()
            .is_some_and(|link| link.progress == Progress::Budget)
        {
            return Some(Timespec::default());
        }
        let left = self.next_deadline()?.saturating_sub(boottime_ns());
        let seconds = i64::try_from(left / NS_PER_S).unwrap_or(i64::MAX);
        Some(Timespec {
            tv_sec: seconds,
            tv_nsec: (left % NS_PER_S).try_into().unwrap_or(0),
        })
    }

    /// A VM whose output finds no room is not read, and so waits.
    fn may_read_vm(&self, nic: &Nic) -> bool {
        match self.role {
            Role::Alone | Role::Primary => !self.compare.full() && nic.egress.has_room(),
            Role::Secondary => self.link.as_ref().is_none_or(|link| link.has_room()),
            Role::Closed => true,
        }
    }

    pub(crate) fn attach_vm(&mut self, index: u8, port: VmPort) {
        if let Some(nic) = self.nic(index) {
            nic.vm = Some(port);
        }
    }

    pub(crate) fn attach_uplink(&mut self, index: u8, fd: OwnedFd, kind: UplinkKind) {
        let offloads = self.config.has_offloads(index);
        if let Some(nic) = self.nic(index) {
            nic.uplink = Some(Uplink::new(fd, kind, offloads));
        }
    }

    pub(crate) fn serve_vm(&mut self, index: u8) {
        for _ in 0..VM_READS {
            if !self.read_vm(index)
                || !self
                    .nics
                    .get(usize::from(index))
                    .is_some_and(|nic| self.may_read_vm(nic))
            {
                break;
            }
        }
    }

    /// Takes all that a stopped VM has left to say.
    pub(crate) fn drain_vms(&mut self) -> Result<(), Error> {
        for index in 0..self.config.nics {
            let mut reads = 0..DRAIN_READS;
            while self.read_vm(index) {
                reads
                    .next()
                    .ok_or(Error::Refused("the VM does not stop talking: is it stopped?"))?;
            }
        }
        Ok(())
    }

    /// Reads once from a VM; false when there was nothing.
    pub(crate) fn read_vm(&mut self, index: u8) -> bool {
        let Some(mut vm) = self.nic(index).and_then(|nic| nic.vm.take()) else {
            return false;
        };
        match vm.receive(|frame| self.vm_frame(index, frame)) {
            Ok(more) => {
                if let Some(nic) = self.nic(index) {
                    nic.vm = Some(vm);
                }
                more
            }
            Err(Closed) => {
                self.tell(Event::VmClosed { nic: index });
                false
            }
        }
    }

    pub(crate) fn serve_uplink(&mut self, index: u8) {
        let Some(mut uplink) = self.nic(index).and_then(|nic| nic.uplink.take()) else {
            return;
        };
        match uplink.receive(|frame| self.uplink_frame(index, frame)) {
            Ok(unusable) => {
                self.counters.bad_headers += unusable;
                if let Some(nic) = self.nic(index) {
                    nic.uplink = Some(uplink);
                }
            }
            Err(Closed) => self.tell(Event::UplinkClosed { nic: index }),
        }
    }

    /// Sends all that waits, as far as the descriptors take it.
    pub(crate) fn flush(&mut self) {
        for index in 0..self.config.nics {
            self.flush_uplink(index);
            self.flush_vm(index);
        }
        self.flush_link();
    }

    fn flush_uplink(&mut self, index: u8) {
        let known = self.numbers.known;
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(nic) = self.nics.get_mut(usize::from(index)) else {
            return;
        };
        match nic.flush_egress(known, || shared.gate_is_open(), &mut self.shelf) {
            Ok(flushed) => {
                self.counters.frames_out += flushed.sent;
                self.counters.egress_dropped += flushed.lost;
            }
            Err(Closed) => {
                nic.uplink = None;
                self.tell(Event::UplinkClosed { nic: index });
            }
        }
    }

    /// It takes more again.
    pub(crate) fn unblock(&mut self, token: Token) {
        match token {
            Token::Wake => {}
            Token::Vm(index) => {
                if let Some(vm) = self.nic(index).and_then(|nic| nic.vm.as_mut()) {
                    vm.unblock();
                }
            }
            Token::Uplink(index) => {
                if let Some(uplink) = self.nic(index).and_then(|nic| nic.uplink.as_mut()) {
                    uplink.unblock();
                }
            }
            Token::Link => {
                if let Some(link) = &mut self.link {
                    link.progress = Progress::Done;
                }
            }
        }
    }

    /// The frame in what a VM, an uplink or the peer gave, and what is to be done to it. `None`: its header does not
    /// fit it, which is counted.
    pub(crate) fn open_frame<'a>(
        &mut self,
        index: u8,
        bytes: &'a mut [u8],
    ) -> Option<(Offload, &'a mut [u8])> {
        if !self.config.has_offloads(index) {
            return Some((Offload::default(), bytes));
        }
        let opened = Offload::split(bytes);
        self.counters.bad_headers += u64::from(opened.is_none());
        opened
    }

    pub(crate) fn nic(&mut self, index: u8) -> Option<&mut Nic> {
        self.nics.get_mut(usize::from(index))
    }
}

fn flags(read: bool, write: bool) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, read);
    flags.set(PollFlags::OUT, write);
    flags
}
