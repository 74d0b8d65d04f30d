//! The VM that clients talk to: alone, or as the primary of a pair.

use crate::capture::Source;
use crate::config::new_compare;
use crate::engine::{Engine, Role};
use crate::error::Error;
use crate::event::Event;
use crate::link_io::Offence;
use crate::watched::only_acknowledges;
use colo_compare::{Event as Compared, Translator};
use colo_link::Message;
use colo_packet::Frame;
use std::collections::BTreeMap;

/// Cuts whose commit may be outstanding and remembered.
const CUTS: usize = 16;

/// What the secondary knows of the sequence numbers that clients get to see.
#[derive(Default)]
pub(crate) struct Numbers {
    /// ISN messages that frames may refer to.
    sent: u64,
    /// ISN messages that the secondary has confirmed, or does not need any more.
    pub(crate) known: u64,
    /// `sent` at each cut whose commit is outstanding.
    at_cut: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Nobody has to know any more.
    pub(crate) fn all_known(&mut self) {
        self.known = self.sent;
        self.at_cut.clear();
    }

    fn cut(&mut self, checkpoint: u64) {
        self.at_cut.insert(checkpoint, self.sent);
        while self.at_cut.len() > CUTS {
            self.at_cut.pop_first();
        }
    }

    /// The connections that the numbers before the cut belong to are part of the checkpoint.
    fn commit(&mut self, checkpoint: u64) {
        let later = self.at_cut.split_off(&checkpoint.saturating_add(1));
        let committed = std::mem::replace(&mut self.at_cut, later);
        self.known = committed.values().copied().fold(self.known, u64::max);
    }
}

impl Engine {
    /// A frame from the VM.
    pub(crate) fn vm_frame(&mut self, index: u8, bytes: &mut [u8]) {
        self.counters.vm_frames += 1;
        let Some((offload, frame)) = self.open_frame(index, bytes) else {
            return;
        };
        match self.role {
            Role::Closed => self.counters.svm_dropped += 1,
            Role::Secondary => self.svm_frame(index, offload, frame),
            Role::Alone | Role::Primary => {
                self.note_addresses(index, frame);
                self.keep(Source::Pvm, index, self.compare.epoch(), frame);
                let only_acks = self.watched.is_some() && only_acknowledges(frame);
                let bytes = self.shelf.copy(frame);
                self.compare.primary(index, Frame { bytes, offload }, self.now);
                self.pump();
                self.note_output(only_acks);
            }
        }
    }

    /// What the comparison has to say goes out: sequence numbers before the frames that use them.
    pub(crate) fn pump(&mut self) {
        self.note_divergences();
        while let Some(event) = self.compare.pop_event() {
            self.compared(event);
        }
        while let Some((index, frame)) = self.compare.pop_release() {
            self.release(index, frame);
        }
    }

    fn release(&mut self, index: u8, mut frame: Frame) {
        if let Some(translator) = &mut self.translator {
            translator.outgoing(index, &mut frame, self.now);
        }
        frame.restore_checksum();
        let needs = self.numbers.sent;
        self.queue_egress(index, needs, frame);
    }

    pub(crate) fn queue_egress(&mut self, index: u8, needs_isn: u64, frame: Frame) {
        let queued = self
            .nic(index)
            .is_some_and(|nic| nic.egress.push(needs_isn, frame));
        self.counters.egress_dropped += u64::from(!queued);
    }

    /// A frame of the agent's own.
    pub(crate) fn inject(&mut self, index: u8, frame: Vec<u8>) {
        self.queue_egress(index, 0, frame.into());
    }

    fn compared(&mut self, event: Compared) {
        let epoch = self.compare.epoch();
        match event {
            Compared::Isn { nic, flow, isn } => self.send_isn(nic, &flow, isn),
            Compared::Divergence {
                nic,
                flow,
                kind,
                detail,
                waited_ns,
            } => {
                self.notice();
                self.tell(Event::Divergence {
                    nic,
                    flow: flow.to_string(),
                    kind: kind.to_string(),
                    detail,
                    ms: waited_ns / crate::clock::MS,
                    epoch,
                });
            }
            Compared::HoldLimit { nic, flow, waited_ns } => {
                let ms = waited_ns / crate::clock::MS;
                self.notice();
                self.tell(Event::HoldLimit {
                    nic,
                    flow: flow.to_string(),
                    ms,
                    epoch,
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
        self.numbers.sent += 1;
        let Some(link) = self.link.as_mut().filter(|link| link.feeding) else {
            return;
        };
        let mut key = Vec::new();
        flow.encode(&mut key);
        link.push(&Message::Isn { nic, flow: &key, isn });
    }

    pub(crate) fn isn_ack(&mut self, count: u64) -> Result<(), Offence> {
        let Some(link) = self.link.as_ref().filter(|link| link.feeding) else {
            return self.ignore();
        };
        let known = link.isn_base.saturating_add(count);
        if known > self.numbers.sent {
            return Err("sequence numbers confirmed that were never sent");
        }
        self.numbers.known = self.numbers.known.max(known);
        Ok(())
    }

    pub(crate) fn frame_out(&mut self, nic: u8, epoch: u64, frame: &[u8]) -> Result<(), Offence> {
        self.check_nic(nic)?;
        if !self.is_primary() || !self.link.as_ref().is_some_and(|link| link.feeding) {
            return self.ignore();
        }
        self.keep(Source::Svm, nic, epoch, frame);
        self.compare.secondary(nic, epoch, frame, self.now);
        Ok(())
    }

    pub(crate) fn cut(&mut self, checkpoint: u64) -> Result<(), Error> {
        if matches!(self.role, Role::Closed | Role::Secondary) {
            return Err(Error::Refused(
                "only a VM that runs alone or as primary can be cut",
            ));
        }
        let feeding = self.link_that_is_up()?.feeding;
        if self.role == Role::Primary && !feeding {
            return Err(Error::Refused(
                "a new pairing begins alone: what the old one held is not known to this peer",
            ));
        }
        self.drain_vms()?;
        if self.role == Role::Alone {
            // Of an earlier pairing nothing counts: neither its commits nor its numbers.
            self.pump();
            self.compare = new_compare(self.config, self.now);
        }
        self.compare.cut(checkpoint, self.now);
        self.pump();
        self.role = Role::Primary;
        self.numbers.cut(checkpoint);
        let isn_sent = self.numbers.sent;
        self.hand_over_translations();
        let link = self.link_that_is_up()?;
        link.push(&Message::Cut { checkpoint });
        if !link.feeding {
            link.feeding = true;
            link.isn_base = isn_sent;
        }
        self.repeat_unread();
        Ok(())
    }

    /// What clients see of connections that this VM inherited, the secondary must know before it can take over. The
    /// whole table goes with each cut, as far as there is one: those that have ended are not in it any more.
    fn hand_over_translations(&mut self) {
        let table = self.translator.as_ref().map(Translator::export);
        let table = table.unwrap_or_default();
        let Some(link) = &mut self.link else { return };
        if link.has_translations || !table.is_empty() {
            link.has_translations = !table.is_empty();
            link.push(&Message::Translations(&table));
        }
    }

    pub(crate) fn commit(&mut self, checkpoint: u64) {
        if !self.is_primary() {
            return;
        }
        self.numbers.commit(checkpoint);
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
        self.numbers.all_known();
    }

    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.role = Role::Closed;
        self.translator = None;
        self.compare = new_compare(self.config, self.now);
        self.resume_ingress();
        self.numbers.all_known();
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
