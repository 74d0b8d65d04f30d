//! The way in: frames from the uplinks, and the pause before a cut.

use crate::capture::Source;
use crate::command::Reply;
use crate::engine::{Engine, Role, answer};
use colo_link::Message;
use std::collections::VecDeque;

/// Bytes of frames held back while ingress is paused; beyond, the uplink is not read.
const HELD_BACK: usize = 4 << 20;

#[derive(Default)]
pub(crate) struct Ingress {
    paused: bool,
    held_back: VecDeque<(u8, Vec<u8>)>,
    held_bytes: usize,
    waiting: Option<(u64, Reply<bool>)>,
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

    pub(crate) fn drop_held_back(&mut self) {
        self.held_back.clear();
        self.held_bytes = 0;
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
        self.keep(Source::Uplink, index, self.compare.epoch(), frame);
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
}
