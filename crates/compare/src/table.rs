//! The flows that are known: bounded, and forgotten when they are over.

use colo_packet::FlowKey;
use hashbrown::HashTable;

use crate::scatter::Scatter;

/// A flow of one network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub nic: u8,
    pub flow: FlowKey,
}

/// Something that can be forgotten.
pub(crate) trait Mortal {
    /// The shortest lifetime that any has.
    const SHORTEST: u64;

    /// Quiet for so many nanoseconds it is over; `None`: never.
    fn lifetime(&self) -> Option<u64>;

    /// May give its place to a new one, where there is no room, once it was quiet for [`SPARE_AFTER`].
    fn is_spare(&self) -> bool;

    /// Bytes that go with it.
    fn kept(&self) -> usize;
}

/// Slots looked at for each new flow, so that the dead go as fast as the living come.
const STEP: usize = 4;
/// Slots looked at when there is no room.
const SEARCH: usize = 64;

/// How long what has hardly begun is waited for, where there is no room: two repetitions of a SYN (RFC 6298).
const SPARE_AFTER: u64 = 5_000_000_000;

#[derive(Debug)]
struct Slot<F> {
    key: Key,
    hash: u64,
    touched: u64,
    flow: F,
}

impl<F: Mortal> Slot<F> {
    /// The state of one that was heard of lately is left alone: it may not be in the cache.
    fn is_over(&self, now: u64) -> bool {
        let quiet = now.saturating_sub(self.touched);
        quiet >= F::SHORTEST && self.flow.lifetime().is_some_and(|lifetime| lifetime <= quiet)
    }

    fn is_spare(&self, now: u64) -> bool {
        now.saturating_sub(self.touched) >= SPARE_AFTER && self.flow.is_spare()
    }
}

/// Flows by key. The index holds numbers of slots only, so that it stays in the cache with ten thousand flows.
#[derive(Debug)]
pub(crate) struct Table<F> {
    index: HashTable<u32>,
    scatter: Scatter,
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
            index: HashTable::new(),
            scatter: Scatter::new(),
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
        let index = self.find(self.scatter.hash(key), key)?;
        self.touch(index, now)
    }

    /// The flow, without a sign of life.
    pub(crate) fn peek(&mut self, key: &Key) -> Option<&mut F> {
        let index = self.find(self.scatter.hash(key), key)?;
        Some(&mut self.slots.get_mut(index as usize)?.as_mut()?.flow)
    }

    /// The flow, made if it is new; `None`: new, and no room.
    pub(crate) fn get_or_add(&mut self, key: &Key, now: u64, make: impl FnOnce() -> F) -> Option<&mut F> {
        let hash = self.scatter.hash(key);
        let index = match self.find(hash, key) {
            Some(index) => index,
            None => self.add(*key, hash, now, make)?,
        };
        self.touch(index, now)
    }

    fn find(&self, hash: u64, key: &Key) -> Option<u32> {
        let is_key = |index: &u32| {
            let slot = self.slots.get(*index as usize).and_then(Option::as_ref);
            slot.is_some_and(|slot| slot.key == *key)
        };
        self.index.find(hash, is_key).copied()
    }

    fn touch(&mut self, index: u32, now: u64) -> Option<&mut F> {
        let slot = self.slots.get_mut(index as usize)?.as_mut()?;
        slot.touched = now;
        Some(&mut slot.flow)
    }

    fn add(&mut self, key: Key, hash: u64, now: u64, make: impl FnOnce() -> F) -> Option<u32> {
        self.sweep(now, STEP);
        if self.len() >= self.limit {
            self.forget(SEARCH, |slot| slot.is_over(now) || slot.is_spare(now));
        }
        if self.len() >= self.limit {
            return None;
        }
        let slot = Some(Slot {
            key,
            hash,
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
        let hash_of = |index: &u32| {
            let slot = self.slots.get(*index as usize).and_then(Option::as_ref);
            slot.map_or(0, |slot| slot.hash)
        };
        self.index.insert_unique(hash, index, hash_of);
        Some(index)
    }

    /// Forgets what is over among the next `count` slots.
    pub(crate) fn sweep(&mut self, now: u64, count: usize) {
        self.forget(count, |slot| slot.is_over(now));
    }

    fn forget(&mut self, count: usize, may_go: impl Fn(&Slot<F>) -> bool) {
        for _ in 0..count.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(place) = self.slots.get_mut(self.hand) else {
                continue;
            };
            if let Some(slot) = place.take_if(|slot| may_go(slot)) {
                self.freed += slot.flow.kept();
                let hand = self.hand as u32;
                if let Ok(entry) = self.index.find_entry(slot.hash, |index| *index == hand) {
                    entry.remove();
                }
                self.free.push(hand);
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
