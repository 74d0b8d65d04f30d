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

/// Where a flow is kept, as long as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

#[derive(Debug)]
struct Entry<F> {
    key: Key,
    hash: u64,
    touched: u64,
    flow: F,
}

impl<F: Mortal> Entry<F> {
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
    index: HashTable<Slot>,
    scatter: Scatter,
    entries: Vec<Option<Entry<F>>>,
    free: Vec<Slot>,
    /// Of the last flow asked for: frames come in bursts.
    last: Slot,
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
            entries: Vec::new(),
            free: Vec::new(),
            last: Slot(0),
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
        if !self.is_at(self.last, key) {
            self.last = self.find(self.scatter.hash(key), key)?;
        }
        self.touch(now)
    }

    /// What is kept there, without a sign of life.
    pub(crate) fn peek(&mut self, slot: Slot) -> Option<(Key, &mut F)> {
        let entry = self.entries.get_mut(slot.0 as usize)?.as_mut()?;
        Some((entry.key, &mut entry.flow))
    }

    /// The flow, made if it is new; `None`: new, and no room.
    pub(crate) fn get_or_add(&mut self, key: &Key, now: u64, make: impl FnOnce(Slot) -> F) -> Option<&mut F> {
        if !self.is_at(self.last, key) {
            let hash = self.scatter.hash(key);
            self.last = match self.find(hash, key) {
                Some(slot) => slot,
                None => self.add(*key, hash, now, make)?,
            };
        }
        self.touch(now)
    }

    fn entry(&self, slot: Slot) -> Option<&Entry<F>> {
        self.entries.get(slot.0 as usize)?.as_ref()
    }

    fn is_at(&self, slot: Slot, key: &Key) -> bool {
        self.entry(slot).is_some_and(|entry| entry.key == *key)
    }

    fn find(&self, hash: u64, key: &Key) -> Option<Slot> {
        self.index.find(hash, |slot| self.is_at(*slot, key)).copied()
    }

    /// A sign of life of the last one asked for.
    fn touch(&mut self, now: u64) -> Option<&mut F> {
        let entry = self.entries.get_mut(self.last.0 as usize)?.as_mut()?;
        entry.touched = now;
        Some(&mut entry.flow)
    }

    fn add(&mut self, key: Key, hash: u64, now: u64, make: impl FnOnce(Slot) -> F) -> Option<Slot> {
        self.sweep(now, STEP);
        if self.len() >= self.limit {
            self.forget(SEARCH, |entry| entry.is_over(now) || entry.is_spare(now));
        }
        if self.len() >= self.limit {
            return None;
        }
        let slot = self.place()?;
        *self.entries.get_mut(slot.0 as usize)? = Some(Entry {
            key,
            hash,
            touched: now,
            flow: make(slot),
        });
        let entries = &self.entries;
        let hash_of = |slot: &Slot| {
            let entry = entries.get(slot.0 as usize).and_then(Option::as_ref);
            entry.map_or(0, |entry| entry.hash)
        };
        self.index.insert_unique(hash, slot, hash_of);
        Some(slot)
    }

    /// One that is free.
    fn place(&mut self) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = Slot(u32::try_from(self.entries.len()).ok()?);
        self.entries.push(None);
        Some(slot)
    }

    /// Forgets what is over among the next `count` slots.
    pub(crate) fn sweep(&mut self, now: u64, count: usize) {
        self.forget(count, |entry| entry.is_over(now));
    }

    fn forget(&mut self, count: usize, may_go: impl Fn(&Entry<F>) -> bool) {
        for _ in 0..count.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let Some(place) = self.entries.get_mut(self.hand) else {
                continue;
            };
            if let Some(entry) = place.take_if(|entry| may_go(entry)) {
                self.freed += entry.flow.kept();
                let slot = Slot(self.hand as u32);
                if let Ok(found) = self.index.find_entry(entry.hash, |other| *other == slot) {
                    found.remove();
                }
                self.free.push(slot);
            }
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut F)> {
        self.entries
            .iter_mut()
            .flatten()
            .map(|entry| (entry.key, &mut entry.flow))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }
}
