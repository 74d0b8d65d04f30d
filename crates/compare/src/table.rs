//! The flows that are known: bounded, and forgotten when they are over.

use std::collections::HashMap;
use std::hash::RandomState;

use colo_packet::FlowKey;

/// A flow of one network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub nic: u8,
    pub flow: FlowKey,
}

/// Something that can be forgotten.
pub(crate) trait Mortal {
    /// Quiet for so many nanoseconds it is over; `None`: never.
    fn lifetime(&self) -> Option<u64>;

    /// Bytes that go with it.
    fn kept(&self) -> usize;
}

/// Slots looked at for each new flow, so that the dead go as fast as the living come.
const STEP: usize = 4;
/// Slots looked at when there is no room.
const SEARCH: usize = 64;

#[derive(Debug)]
struct Slot<F> {
    key: Key,
    touched: u64,
    flow: F,
}

impl<F: Mortal> Slot<F> {
    fn is_over(&self, now: u64) -> bool {
        self.flow
            .lifetime()
            .is_some_and(|lifetime| self.touched.saturating_add(lifetime) <= now)
    }
}

/// Flows by key. The hasher (SipHash) is keyed: clients choose ports.
#[derive(Debug)]
pub(crate) struct Table<F> {
    index: HashMap<Key, u32, RandomState>,
    slots: Vec<Option<Slot<F>>>,
    free: Vec<u32>,
    hand: usize,
    limit: usize,
    /// Bytes that went with what was forgotten.
    freed: usize,
}

impl<F: Mortal> Table<F> {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(u32::MAX as usize);
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            limit,
            freed: 0,
        }
    }

    /// Bytes that went with flows forgotten since the last call.
    pub(crate) const fn take_freed(&mut self) -> usize {
        std::mem::replace(&mut self.freed, 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&mut self, key: &Key, now: u64) -> Option<&mut F> {
        let slot = self.slots.get_mut(*self.index.get(key)? as usize)?.as_mut()?;
        slot.touched = now;
        Some(&mut slot.flow)
    }

    /// The flow, without a sign of life.
    pub(crate) fn peek(&mut self, key: &Key) -> Option<&mut F> {
        let slot = self.slots.get_mut(*self.index.get(key)? as usize)?.as_mut()?;
        Some(&mut slot.flow)
    }

    /// The flow, made if it is new; `None`: new, and no room.
    pub(crate) fn get_or_add(&mut self, key: &Key, now: u64, make: impl FnOnce() -> F) -> Option<&mut F> {
        let index = match self.index.get(key) {
            Some(index) => *index,
            None => self.add(*key, now, make)?,
        };
        let slot = self.slots.get_mut(index as usize)?.as_mut()?;
        slot.touched = now;
        Some(&mut slot.flow)
    }

    fn add(&mut self, key: Key, now: u64, make: impl FnOnce() -> F) -> Option<u32> {
        self.sweep(now, STEP);
        if self.len() >= self.limit {
            self.sweep(now, SEARCH);
        }
        if self.len() >= self.limit {
            return None;
        }
        let slot = Some(Slot {
            key,
            touched: now,
            flow: make(),
        });
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        *self.slots.get_mut(index as usize)? = slot;
        self.index.insert(key, index);
        Some(index)
    }

    /// Forgets what is over among the next `count` slots.
    pub(crate) fn sweep(&mut self, now: u64, count: usize) {
        for _ in 0..count.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(place) = self.slots.get_mut(self.hand) else {
                continue;
            };
            if let Some(slot) = place.take_if(|slot| slot.is_over(now)) {
                self.freed += slot.flow.kept();
                self.index.remove(&slot.key);
                self.free.push(self.hand as u32);
            }
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut F)> {
        self.slots
            .iter_mut()
            .flatten()
            .map(|slot| (slot.key, &mut slot.flow))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}
