//! The VM that clients talk to: alone, or as the primary of a pair.

use crate::command::Reply;
use crate::engine::{Engine, Role, answer};
use crate::error::Error;
use crate::event::Event;
use crate::link_io::Offence;
use colo_compare::Event as Compared;
use colo_link::Message;
use std::collections::{BTreeMap, VecDeque};

/// Bytes of frames held back while ingress is paused; beyond, the uplink is not read.
const HELD_BACK: usize = 4 << 20;
/// Cuts whose commit may be outstanding and remembered.
const CUTS: usize = 16;

/// The way in, and what the secondary knows of sequence numbers.
#[derive(Default)]
pub(crate) struct Ingress {
    paused: bool,
    held_back: VecDeque<(u8, Vec<u8>)>,
    held_bytes: usize,
    waiting: Option<(u64, Reply<bool>)>,
    /// ISN messages that frames may refer to.
    pub(crate) isn_sent: u64,
    /// ISN messages that the secondary has confirmed, or does not need any more.
    pub(crate) isn_known: u64,
    /// `isn_sent` at each cut whose commit is outstanding.
    isn_at_cut: BTreeMap<u64, u64>,
}

impl Ingress {
    /// Someone waits for the VM to have read everything.
    pub(crate) fn waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether the uplinks may be read.
    pub(crate) fn has_room(&self) -> bool {
        !self.paused || self.held_bytes < HELD_BACK
    }

    fn all_known(&mut self) {
        self.isn_known = self.isn_sent;
        self.isn_at_cut.clear();
    }
}

impl Engine {
    /// A frame from the uplink.
    pub(crate) fn uplink_frame(&mut self, index: u8, frame: &mut [u8]) {
        if matches!(self.role, Role::Closed | Role::Secondary) {
            return;
        }
        if self.ingress.paused {
            self.ingress.held_bytes += frame.len();
            self.ingress.held_back.push_back((index, frame.to_vec()));
        } else {
            self.admit(index, frame);
        }
    }

    /// Both VMs get the frame, or neither.
    fn admit(&mut self, index: u8, frame: &mut [u8]) {
        self.counters.frames_in += 1;
        if let Some(translator) = &mut self.translator {
            translator.incoming(index, frame, self.now);
        }
        let feeding = self.link.as_mut().filter(|link| link.feeding);
        let vm = self
            .nics
            .get_mut(usize::from(index))
            .and_then(|nic| nic.vm.as_mut());
        let room = feeding.as_ref().is_none_or(|link| link.has_room());
        if !room || !vm.is_some_and(|vm| vm.push(frame)) {
            self.counters.ingress_dropped += 1;
            return;
        }
        if let Some(link) = feeding {
            link.push(&Message::FrameIn { nic: index, frame });
        }
    }

    /// A frame from the VM.
    pub(crate) fn vm_frame(&mut self, index: u8, frame: &mut [u8]) {
        self.counters.vm_frames += 1;
        match self.role {
            Role::Closed => self.counters.svm_dropped += 1,
            Role::Secondary => self.svm_frame(index, frame),
            Role::Alone | Role::Primary => {
                self.note_addresses(index, frame);
                self.compare.primary(index, frame.to_vec(), self.now);
                self.pump();
            }
        }
    }

    /// What the comparison has to say goes out: sequence numbers before the frames that use them.
    pub(crate) fn pump(&mut self) {
        while let Some(event) = self.compare.pop_event() {
            self.compared(event);
        }
        while let Some((index, frame)) = self.compare.pop_release() {
            self.release(index, frame);
        }
    }

    fn release(&mut self, index: u8, mut frame: Vec<u8>) {
        if let Some(translator) = &mut self.translator {
            translator.outgoing(index, &mut frame, self.now);
        }
        let needs = self.ingress.isn_sent;
        self.queue_egress(index, needs, frame);
    }

    pub(crate) fn queue_egress(&mut self, index: u8, needs_isn: u64, frame: Vec<u8>) {
        let queued = self
            .nic(index)
            .is_some_and(|nic| nic.egress.push(needs_isn, frame));
        self.counters.egress_dropped += u64::from(!queued);
    }

    /// A frame of the agent's own.
    pub(crate) fn inject(&mut self, index: u8, frame: Vec<u8>) {
        self.queue_egress(index, 0, frame);
    }

    fn compared(&mut self, event: Compared) {
        match event {
            Compared::Isn { nic, flow, isn } => self.send_isn(nic, &flow, isn),
            Compared::Divergence {
                nic,
                flow,
                kind,
                detail,
            } => {
                self.tell(Event::Divergence {
                    nic,
                    flow: flow.to_string(),
                    kind: kind.to_string(),
                    detail,
                });
            }
            Compared::HoldLimit { nic, flow, waited_ns } => {
                let ms = waited_ns / crate::clock::MS;
                self.tell(Event::HoldLimit {
                    nic,
                    flow: flow.to_string(),
                    ms,
                });
            }
            Compared::QueueLimit { bytes } => self.tell(Event::QueueLimit { bytes: bytes as u64 }),
        }
    }

    /// Frames released from now on wait until the secondary has confirmed this number, or a checkpoint that holds
    /// the connection: a client must never know what the survivor does not.
    fn send_isn(&mut self, nic: u8, flow: &colo_packet::FlowKey, isn: u32) {
        if !self.is_primary() {
            return;
        }
        self.ingress.isn_sent += 1;
        let Some(link) = self.link.as_mut().filter(|link| link.feeding) else {
            return;
        };
        let mut key = Vec::new();
        flow.encode(&mut key);
        link.push(&Message::Isn { nic, flow: &key, isn });
    }

    pub(crate) fn isn_ack(&mut self, count: u64) -> Result<(), Offence> {
        let Some(link) = self.link.as_mut().filter(|link| link.feeding) else {
            return self.ignore();
        };
        if link.isn_base.saturating_add(count) > self.ingress.isn_sent {
            return Err("sequence numbers confirmed that were never sent");
        }
        link.isn_acked = count;
        self.count_known_isn();
        Ok(())
    }

    /// What was confirmed on this link counts once nothing before it is missing.
    fn count_known_isn(&mut self) {
        let Some(link) = self.link.as_ref().filter(|link| link.feeding) else {
            return;
        };
        if self.ingress.isn_known >= link.isn_base {
            self.ingress.isn_known = self
                .ingress
                .isn_known
                .max(link.isn_base.saturating_add(link.isn_acked));
        }
    }

    pub(crate) fn frame_out(&mut self, nic: u8, epoch: u64, frame: &[u8]) -> Result<(), Offence> {
        self.check_nic(nic)?;
        if !self.is_primary() || !self.link.as_ref().is_some_and(|link| link.feeding) {
            return self.ignore();
        }
        self.compare.secondary(nic, epoch, frame, self.now);
        Ok(())
    }

    pub(crate) fn pause_ingress(&mut self, until: u64, reply: Reply<bool>) {
        self.ingress.paused = true;
        self.ingress.waiting = Some((until, reply));
        self.watch_pause();
    }

    /// Answers a pause once the VM has read everything, or has had its time.
    pub(crate) fn watch_pause(&mut self) {
        let Some((until, reply)) = &self.ingress.waiting else {
            return;
        };
        let read = self
            .nics
            .iter()
            .flat_map(|nic| &nic.vm)
            .all(|vm| vm.unread() == 0);
        if read || self.now >= *until {
            answer(reply, Ok(read));
            self.ingress.waiting = None;
        }
    }

    pub(crate) fn resume_ingress(&mut self) {
        self.ingress.paused = false;
        self.ingress.waiting = None;
        self.ingress.held_bytes = 0;
        for (index, mut frame) in std::mem::take(&mut self.ingress.held_back) {
            self.admit(index, &mut frame);
        }
    }

    pub(crate) fn cut(&mut self, checkpoint: u64) -> Result<(), Error> {
        if matches!(self.role, Role::Closed | Role::Secondary) {
            return Err(Error::Refused(
                "only a VM that runs alone or as primary can be cut",
            ));
        }
        self.link_that_is_up()?;
        self.drain_vms()?;
        self.compare.cut(checkpoint, self.now);
        self.pump();
        self.role = Role::Primary;
        self.ingress.isn_at_cut.insert(checkpoint, self.ingress.isn_sent);
        while self.ingress.isn_at_cut.len() > CUTS {
            self.ingress.isn_at_cut.pop_first();
        }
        let isn_sent = self.ingress.isn_sent;
        let link = self.link_that_is_up()?;
        link.push(&Message::Cut { checkpoint });
        if !link.feeding {
            link.feeding = true;
            link.isn_base = isn_sent;
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self, checkpoint: u64) {
        if !self.is_primary() {
            return;
        }
        // The connections that these numbers belong to are part of the checkpoint.
        let later = self.ingress.isn_at_cut.split_off(&checkpoint.saturating_add(1));
        let committed = std::mem::replace(&mut self.ingress.isn_at_cut, later);
        let known = committed.values().max().copied().unwrap_or(0);
        self.ingress.isn_known = self.ingress.isn_known.max(known);
        self.count_known_isn();
        self.compare.commit(checkpoint, self.now);
    }

    pub(crate) fn alone(&mut self) -> Result<(), Error> {
        if self.role == Role::Secondary {
            return Err(Error::Refused("a secondary is promoted, not left alone"));
        }
        self.become_alone();
        Ok(())
    }

    /// Everything held may go, and what the VM says from here on goes at once.
    pub(crate) fn become_alone(&mut self) {
        self.role = Role::Alone;
        if let Some(link) = &mut self.link {
            link.feeding = false;
        }
        self.compare.alone(self.now);
        self.pump();
        self.ingress.all_known();
    }

    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.role = Role::Closed;
        self.compare = crate::engine::new_compare(self.config, self.now);
        self.ingress.held_back.clear();
        self.ingress.held_bytes = 0;
        self.ingress.all_known();
        self.secondary.clear();
        self.nics.iter_mut().for_each(crate::nic::Nic::drop_queues);
        if let Some(link) = &mut self.link {
            link.feeding = false;
        }
        Ok(())
    }

    pub(crate) fn note_addresses(&mut self, index: u8, frame: &[u8]) {
        if let Some(nic) = self.nic(index) {
            nic.addresses.note(frame);
        }
    }

    pub(crate) fn guest_addresses(&mut self, index: u8) -> Vec<(String, String)> {
        self.nic(index)
            .map(|nic| nic.addresses.list())
            .unwrap_or_default()
    }
}
