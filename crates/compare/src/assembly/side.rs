//! The fragments of one machine.

use std::collections::{BTreeMap, VecDeque};

use colo_packet::{Fragment, Frame, put_together};

use super::datagram::{Datagram, Place, State};
use crate::fragments::{Fragments, Part, Whole};

/// Datagrams of one machine that are not whole. Of a guest each processor makes one at a time.
const DATAGRAMS: usize = 64;

/// Frames in the order in which they came, and the datagrams that they are pieces of.
#[derive(Debug)]
pub(super) struct Side<F> {
    frames: BTreeMap<u64, F>,
    datagrams: VecDeque<Datagram>,
    /// The number of the last frame.
    serial: u64,
    /// Of all frames.
    bytes: usize,
    /// Frames that make no datagram stay too.
    keeps_all: bool,
}

impl<F: AsRef<[u8]> + Into<Frame>> Side<F> {
    pub(super) const fn new(keeps_all: bool) -> Self {
        Self {
            frames: BTreeMap::new(),
            datagrams: VecDeque::new(),
            serial: 0,
            bytes: 0,
            keeps_all,
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn frames(&self) -> &BTreeMap<u64, F> {
        &self.frames
    }

    /// A piece of a datagram that is not known would be one of too many.
    pub(super) fn is_crowded(&self, id: u32) -> bool {
        self.datagrams.len() >= DATAGRAMS && self.index(id).is_none()
    }

    /// A datagram that began more than `lifetime` ago has nothing to do with what comes now: identifications are used
    /// again.
    pub(super) fn forget_if_old(&mut self, id: u32, now: u64, lifetime: u64) {
        let Some(index) = self.index(id) else { return };
        let old = self.datagrams.get(index);
        if old.is_some_and(|old| now.saturating_sub(old.since) > lifetime) {
            self.forget(index);
        }
    }

    /// Forgets the datagram that began first; `false`: there is none.
    pub(super) fn forget_oldest(&mut self) -> bool {
        self.forget(0)
    }

    fn forget(&mut self, index: usize) -> bool {
        let Some(datagram) = self.datagrams.remove(index) else {
            return false;
        };
        self.drop_frames(&datagram.places);
        true
    }

    fn drop_frames(&mut self, places: &[Place]) {
        if !self.keeps_all {
            for place in places {
                self.remove(place.serial);
            }
        }
    }

    /// What comes from now on belongs to no datagram that is known.
    pub(super) fn close(&mut self) {
        while self.forget_oldest() {}
    }

    /// Takes in a piece and says what its datagram is now.
    pub(super) fn add(&mut self, piece: &Fragment, frame: F, now: u64) -> State {
        let index = self.index(piece.id).unwrap_or_else(|| {
            self.datagrams.push_back(Datagram::new(piece.id, now));
            self.datagrams.len() - 1
        });
        let Some(datagram) = self.datagrams.get_mut(index) else {
            return State::Spoiled;
        };
        let state = datagram.add(piece, self.serial + 1, |other| {
            let known = self.frames.get(&other.serial);
            known.is_some_and(|known| bytes(known, other.at, piece.len) == bytes(&frame, piece.at, piece.len))
        });
        if state.is_useful() {
            self.keep(frame);
            return state;
        }
        let places = std::mem::take(&mut datagram.places);
        self.drop_frames(&places);
        if self.keeps_all {
            self.keep(frame);
        }
        state
    }

    /// Keeps a frame.
    pub(super) fn keep(&mut self, frame: F) {
        self.serial += 1;
        self.bytes += frame.as_ref().len();
        self.frames.insert(self.serial, frame);
    }

    /// Takes out a datagram that is whole. `None`: no packet can be so long, so it is spoiled.
    pub(super) fn take(&mut self, id: u32) -> Option<Whole> {
        let index = self.index(id)?;
        let Some((frame, total)) = self
            .datagrams
            .get(index)
            .and_then(|found| self.put_together(found))
        else {
            let datagram = self.datagrams.get_mut(index)?;
            datagram.spoil();
            let places = std::mem::take(&mut datagram.places);
            self.drop_frames(&places);
            return None;
        };
        let places = self.datagrams.remove(index)?.places;
        let parts = places.iter().filter_map(|place| {
            Some(Part {
                frame: self.remove(place.serial)?.into(),
                at: place.at,
                start: place.start,
                len: place.len,
            })
        });
        let fragments = Fragments::new(parts.collect(), total);
        Some(Whole { frame, fragments })
    }

    fn put_together(&self, datagram: &Datagram) -> Option<(Vec<u8>, usize)> {
        let (first, total) = datagram.whole()?;
        let mut payload = vec![0; total];
        for place in &datagram.places {
            let to = payload.get_mut(place.start..place.start + place.len)?;
            to.copy_from_slice(bytes(self.frames.get(&place.serial)?, place.at, place.len)?);
        }
        let frame = put_together(self.frames.get(&first.serial)?.as_ref(), &payload)?;
        Some((frame, total))
    }

    /// Takes out the first frame if `take` says so.
    pub(super) fn pop_if(&mut self, take: impl Fn(&F) -> bool) -> Option<F> {
        let (serial, _) = self.frames.first_key_value().filter(|(_, frame)| take(frame))?;
        let serial = *serial;
        self.remove(serial)
    }

    fn remove(&mut self, serial: u64) -> Option<F> {
        let frame = self.frames.remove(&serial)?;
        self.bytes -= frame.as_ref().len();
        Some(frame)
    }

    fn index(&self, id: u32) -> Option<usize> {
        self.datagrams.iter().position(|datagram| datagram.id == id)
    }
}

fn bytes<F: AsRef<[u8]>>(frame: &F, at: usize, len: usize) -> Option<&[u8]> {
    frame.as_ref().get(at..at + len)
}
