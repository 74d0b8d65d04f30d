//! The SVM: fed with the primary's input, heard by the primary only.

use crate::clock::MS;
use crate::config::{new_compare, new_translator};
use crate::deferred::{Deferred, Entry};
use crate::engine::{Engine, Role};
use crate::error::Error;
use crate::event::Event;
use crate::link_io::Offence;
use crate::recent::Recent;
use colo_compare::Translator;
use colo_link::Message;
use colo_packet::{FlowKey, Frame, Offload};
use colo_ram::{Received, Replica};
use std::sync::Arc;

pub(crate) struct Secondary {
    replica: Option<Arc<Replica>>,
    translator: Translator,
    epoch: u64,
    /// The SVM is stopped, or was never loaded: what it sends is worth nothing.
    discard: bool,
    /// A cut has come on this link, so that frames make sense.
    fed: bool,
    deferred: Deferred,
    recent: Recent,
}

impl Secondary {
    pub(crate) fn new() -> Self {
        Self {
            replica: None,
            translator: new_translator(),
            epoch: 0,
            discard: true,
            fed: false,
            deferred: Deferred::default(),
            recent: Recent::default(),
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}

impl Engine {
    pub(crate) fn begin_secondary(&mut self, replica: Arc<Replica>) -> Result<(), Error> {
        self.close()?;
        self.secondary.replica = Some(replica);
        self.role = Role::Secondary;
        Ok(())
    }

    /// A frame from the SVM: kept for a failover, and told to the primary.
    pub(crate) fn svm_frame(&mut self, index: u8, offload: Offload, frame: &mut [u8]) {
        if self.secondary.discard {
            self.counters.svm_dropped += 1;
            return;
        }
        self.note_addresses(index, frame);
        let bytes = self.shelf.copy(frame);
        let kept = Frame { bytes, offload };
        let recent = &mut self.secondary.recent;
        recent.push(self.now, index, kept, &mut self.shelf);
        self.secondary.translator.outgoing(index, frame, self.now);
        if let Some(link) = self.link.as_mut().filter(|link| link.up) {
            link.push(&Message::FrameOut {
                nic: index,
                epoch: self.secondary.epoch,
                frame,
            });
        }
    }

    pub(crate) fn frame_in(&mut self, nic: u8, frame: &[u8]) -> Result<(), Offence> {
        self.check_nic(nic)?;
        if self.role != Role::Secondary || !self.secondary.fed {
            return self.ignore();
        }
        if !self.secondary.deferred.is_open() {
            let mut own = self.shelf.copy(frame);
            self.feed_svm(nic, &mut own);
            self.shelf.put_back(own);
        } else if !self.secondary.deferred.frame(nic, frame) {
            self.counters.deferred_dropped += 1;
        }
        Ok(())
    }

    fn feed_svm(&mut self, index: u8, bytes: &mut [u8]) {
        self.counters.frames_in += 1;
        let Some((offload, frame)) = self.open_frame(index, bytes) else {
            return;
        };
        self.secondary.translator.incoming(index, frame, self.now);
        offload.restore(frame);
        let pushed = self
            .nic(index)
            .and_then(|nic| nic.vm.as_mut())
            .is_some_and(|vm| vm.push(bytes));
        self.counters.ingress_dropped += u64::from(!pushed);
    }

    pub(crate) fn isn(&mut self, nic: u8, flow: &[u8], isn: u32) -> Result<(), Offence> {
        self.check_nic(nic)?;
        if self.role != Role::Secondary || !self.secondary.fed {
            return self.ignore();
        }
        let flow = FlowKey::decode(flow).ok_or("a flow key that is none")?;
        if self.secondary.deferred.is_open() {
            self.secondary.deferred.isn(nic, flow, isn)?;
        } else {
            self.secondary.translator.learn(nic, flow, isn);
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        link.isn_received += 1;
        let count = link.isn_received;
        link.push(&Message::IsnAck { count });
        Ok(())
    }

    /// What the primary translates: nothing to this side until it takes over.
    pub(crate) fn translations(&mut self, table: &[u8]) -> Result<(), Offence> {
        if self.role != Role::Secondary {
            return self.ignore();
        }
        let kept = self.secondary.translator.import(table);
        kept.map_err(|_| "a table of translations that is none")
    }

    pub(crate) fn cut_came(&mut self, checkpoint: u64) -> Result<(), Offence> {
        if self.role != Role::Secondary {
            return self.ignore();
        }
        self.secondary.deferred.cut(checkpoint)?;
        self.secondary.fed = true;
        Ok(())
    }

    pub(crate) fn stored(&mut self, checkpoint: u64) {
        self.secondary.deferred.stored(checkpoint);
    }

    /// A piece of state goes to the replica.
    pub(crate) fn state(&mut self, kind: u8, payload: &[u8]) {
        let Some(replica) = &self.secondary.replica else {
            self.counters.ignored += 1;
            return;
        };
        match replica.receive(kind, payload) {
            Ok(Received::Complete {
                checkpoint,
                pages,
                bytes,
            }) => {
                self.tell_or_end(Event::StateComplete {
                    checkpoint,
                    pages,
                    bytes,
                });
            }
            Ok(Received::Stored | Received::Dropped) => {}
            Err(damaged) => {
                let (checkpoint, why) = (damaged.checkpoint, damaged.why.to_string());
                self.tell_or_end(Event::StateDamaged { checkpoint, why });
            }
        }
    }

    /// What the SVM has not read of its input by now belongs to a past that will be replaced. What is in the socket
    /// already cannot be taken back: it is counted, and for the loaded VM it is a network that repeats frames.
    pub(crate) fn svm_stopped(&mut self) -> Result<(), Error> {
        self.check_secondary()?;
        self.secondary.discard = true;
        for vm in self.nics.iter_mut().filter_map(|nic| nic.vm.as_mut()) {
            vm.drop_output();
            self.counters.stale_ingress_bytes += vm.unread() as u64;
        }
        Ok(())
    }

    pub(crate) fn enter_epoch(&mut self, epoch: u64) -> Result<(), Error> {
        self.check_secondary()?;
        self.secondary.discard = true;
        self.drain_vms()?;
        self.secondary.translator.reset();
        self.secondary.recent.clear();
        self.secondary.epoch = epoch;
        self.secondary.discard = false;
        Ok(())
    }

    pub(crate) fn deliver(&mut self) {
        for entry in self.secondary.deferred.take() {
            match entry {
                Entry::Frame(nic, mut frame) => self.feed_svm(nic, &mut frame),
                Entry::Isn(nic, flow, isn) => self.secondary.translator.learn(nic, flow, isn),
                Entry::Cut(_) => {}
            }
        }
    }

    pub(crate) fn forget_cut(&mut self) -> Result<(), Error> {
        self.check_secondary()?;
        self.deliver();
        Ok(())
    }

    /// Takes over. The last output is translated now, with all that is known by now; what the primary got to send
    /// too, clients know as a repetition.
    pub(crate) fn promote(&mut self) -> Result<(), Error> {
        self.check_secondary()?;
        self.deliver();
        let mut last = std::mem::replace(&mut self.secondary, Secondary::new());
        let margin = self.config.heartbeat_ms.saturating_mul(MS);
        last.translator.take_over();
        self.translator = Some(last.translator);
        self.compare = new_compare(self.config, self.now);
        self.become_alone();
        for (index, frame) in last.recent.take_since(self.heard.saturating_sub(margin)) {
            self.compare.primary(index, frame, self.now);
        }
        self.pump();
        Ok(())
    }

    /// Connections whose numbers are translated here, or will be after a failover.
    pub(crate) fn translated(&self) -> u64 {
        let translator = match self.role {
            Role::Secondary => Some(&self.secondary.translator),
            _ => self.translator.as_ref(),
        };
        translator.map_or(0, |translator| translator.translated() as u64)
    }

    fn check_secondary(&self) -> Result<(), Error> {
        match self.role {
            Role::Secondary => Ok(()),
            _ => Err(Error::Refused("this side is not a secondary")),
        }
    }
}
