//! The way in: frames from the uplinks, and the pause before a cut.
//!
//! A frame belongs to the epoch in which the VM's socket takes it, and only then goes to the secondary: what waits in
//! front of a slow VM lies behind the next cut, for both. What the socket has taken and the VM may not have read when
//! it is stopped goes to the secondary twice, before the cut and after it: a network may repeat a frame, and the
//! secondary's next state may have it or not.

use crate::capture::Source;
use crate::command::Reply;
use crate::engine::{Engine, Role, answer};
use crate::event::Event;
use crate::link::Link;
use crate::port::Closed;
use crate::vm_port::VmPort;
use colo_link::Message;

#[derive(Default)]
pub(crate) struct Ingress {
    paused: bool,
    waiting: Option<Waiting>,
}

/// Someone waits for the VM to have read everything.
struct Waiting {
    until: u64,
    reply: Reply<bool>,
    /// It has read everything once, and was sent one frame more.
    once: bool,
}

impl Ingress {
    pub(crate) fn waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

impl Engine {
    /// A frame from the uplink: both VMs get it, or neither.
    pub(crate) fn uplink_frame(&mut self, index: u8, bytes: &mut [u8]) {
        if matches!(self.role, Role::Closed | Role::Secondary) {
            return;
        }
        self.counters.frames_in += 1;
        let Some((offload, frame)) = self.open_frame(index, bytes) else {
            return;
        };
        if let Some(translator) = &mut self.translator {
            translator.incoming(index, frame, self.now);
            offload.restore(frame);
        }
        self.keep(Source::Uplink, index, self.compare.epoch(), frame);
        let room = feeding(&mut self.link).is_none_or(|link| link.has_room());
        let vm = self.nic(index).and_then(|nic| nic.vm.as_mut());
        if !room || !vm.is_some_and(|vm| vm.push(bytes)) {
            self.counters.ingress_dropped += 1;
        }
    }

    /// Gives a VM what waits for it, and the secondary the same.
    pub(crate) fn flush_vm(&mut self, index: u8) {
        let Some(nic) = self.nics.get_mut(usize::from(index)) else {
            return;
        };
        let Some(vm) = &mut nic.vm else { return };
        let flushed = if self.ingress.paused {
            vm.finish().map(|()| 0)
        } else {
            vm.flush(|frame| feed(&mut self.link, index, frame))
        };
        match flushed {
            Ok(lost) => self.counters.ingress_dropped += lost,
            Err(Closed) => {
                nic.vm = None;
                self.tell(Event::VmClosed { nic: index });
            }
        }
    }

    pub(crate) fn pause_ingress(&mut self, until: u64, reply: Reply<bool>) {
        self.ingress.paused = true;
        self.ingress.waiting = Some(Waiting {
            until,
            reply,
            once: false,
        });
        self.watch_pause();
    }

    /// Answers a pause once the VM has read everything, or has had its time.
    ///
    /// QEMU reads on when the guest's card has taken what it read before, and forgets what the card has not taken when
    /// it stops (net/stream.c, `net_vm_change_state_handler` of net/net.c). So when all was read, one frame more tells
    /// whether the card has it.
    pub(crate) fn watch_pause(&mut self) {
        let read = self.vms().all(|vm| vm.unread() == 0);
        let Some(waiting) = &mut self.ingress.waiting else {
            return;
        };
        if self.now < waiting.until {
            if !read {
                return;
            }
            if !std::mem::replace(&mut waiting.once, true) && self.begin_one() {
                return;
            }
        }
        if let Some(waiting) = self.ingress.waiting.take() {
            self.vms().for_each(VmPort::note_unread);
            answer(&waiting.reply, Ok(read));
        }
    }

    /// Begins a frame more for each VM; false when there is none.
    fn begin_one(&mut self) -> bool {
        let mut begun = false;
        for (index, nic) in (0..).zip(&mut self.nics) {
            if let Some(frame) = nic.vm.as_mut().and_then(VmPort::begin_one) {
                feed(&mut self.link, index, frame);
                begun = true;
            }
        }
        begun
    }

    /// After a cut: what the VM may not have read before it.
    pub(crate) fn repeat_unread(&mut self) {
        let nics = (0..).zip(&self.nics);
        for (index, vm) in nics.filter_map(|(index, nic)| Some((index, nic.vm.as_ref()?))) {
            vm.doubtful(|frame| {
                self.counters.repeated_in += 1;
                feed(&mut self.link, index, frame);
            });
        }
    }

    pub(crate) fn resume_ingress(&mut self) {
        self.ingress = Ingress::default();
        self.vms().for_each(VmPort::forget_doubts);
    }

    fn vms(&mut self) -> impl Iterator<Item = &mut VmPort> {
        self.nics.iter_mut().filter_map(|nic| nic.vm.as_mut())
    }
}

fn feeding(link: &mut Option<Link>) -> Option<&mut Link> {
    link.as_mut().filter(|link| link.feeding)
}

fn feed(link: &mut Option<Link>, nic: u8, frame: &[u8]) {
    if let Some(link) = feeding(link) {
        link.push(&Message::FrameIn { nic, frame });
    }
}
