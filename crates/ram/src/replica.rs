//! The secondary's copy of the primary's RAM: the cache, and the checkpoints that will change it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Cache;
use crate::damaged::Damaged;
use crate::error::{Error, Result};
use crate::guest_ram::GuestRam;
use crate::inbox::{Accepted, Inbox, Received};
use crate::page_set::PageSet;

/// RAM cache, incoming checkpoints, and the SVM's RAM that is restored from them.
///
/// The cache is, once a checkpoint was applied, always a whole and exact copy of the primary's RAM at the last applied
/// one. One thread may receive while another applies: they share no lock but for moments, except in pre-copy, which
/// ends before there is anything to apply. A resync from scratch takes a new replica.
pub struct Replica {
    ram: GuestRam,
    inbox: Mutex<Inbox>,
    store: Mutex<Store>,
}

struct Store {
    cache: Cache,
    /// The last checkpoint applied, with its device state.
    applied: Option<(u64, Vec<u8>)>,
}

impl Replica {
    /// A replica for this RAM. `staging_limit` bounds the bytes of all incoming checkpoints held at once (as many again
    /// may be kept as empty buffers); the cache takes memory for the pages that ever held something, at most as much
    /// as the RAM.
    ///
    /// # Errors
    /// When there is no room for the cache in the address space.
    pub fn new(ram: &GuestRam, staging_limit: u64) -> Result<Self> {
        let limit = usize::try_from(staging_limit).unwrap_or(usize::MAX);
        let store = Store {
            cache: Cache::new(ram)?,
            applied: None,
        };
        Ok(Self {
            ram: ram.clone(),
            inbox: Mutex::new(Inbox::new(ram.pages(), limit)),
            store: Mutex::new(store),
        })
    }

    /// Takes the payload of one bulk message (PAGES, DEVICE, STATE_END) from the link.
    ///
    /// # Errors
    /// [`Damaged`], once for a checkpoint: it is forgotten, the rest of it is dropped.
    pub fn receive(&self, kind: u8, payload: &[u8]) -> std::result::Result<Received, Damaged> {
        let mut inbox = lock(&self.inbox);
        match inbox.receive(kind, payload)? {
            Accepted::Kept(received) => Ok(received),
            Accepted::Precopy(pages) => {
                let mut store = lock(&self.store);
                for (index, page) in pages {
                    // The inbox lets no page pass that the RAM does not have.
                    let _ = store.cache.write(index, page);
                }
                Ok(Received::Stored)
            }
        }
    }

    /// Device state of a checkpoint that is whole, or that was the last to be applied.
    ///
    /// # Errors
    /// [`Error::NotReady`].
    pub fn device(&self, checkpoint: u64) -> Result<Vec<u8>> {
        let waiting = lock(&self.inbox).device(checkpoint).map(<[u8]>::to_vec);
        if let Some(device) = waiting {
            return Ok(device);
        }
        match &lock(&self.store).applied {
            Some((applied, device)) if *applied == checkpoint => Ok(device.clone()),
            _ => Err(Error::NotReady {
                asked: checkpoint,
                ready: None,
            }),
        }
    }

    /// Commits a checkpoint to memory, the SVM being stopped: cache += its pages, then the SVM's RAM := the cache on
    /// what it brought (with the pre-copy, for the first one) and on `dirty`, the pages that the SVM wrote. Returns the
    /// number of these pages.
    ///
    /// # Errors
    /// [`Error::NotReady`] when it is not the oldest whole one, [`Error::OutOfRange`] when `dirty` is of a larger RAM;
    /// nothing has changed then.
    pub fn apply(&self, checkpoint: u64, dirty: &PageSet) -> Result<u64> {
        self.check_set(dirty)?;
        let (mut incoming, mut changed) = {
            let mut inbox = lock(&self.inbox);
            let ready = inbox.ready();
            inbox.take(checkpoint).ok_or(Error::NotReady {
                asked: checkpoint,
                ready,
            })?
        };
        let mut store = lock(&self.store);
        for (index, page) in incoming.pages() {
            store.cache.write(index, page)?;
            changed.insert(index)?;
        }
        store.applied = Some((checkpoint, incoming.take_device()));
        let restored = changed.union(dirty);
        store.cache.copy_to(&self.ram, &restored)?;
        drop(store);
        lock(&self.inbox).recycle(incoming);
        Ok(restored.len())
    }

    /// The SVM's RAM := the cache on these pages: undoes what reset or load wrote. Returns the number of pages.
    ///
    /// # Errors
    /// [`Error::NotReady`] before any checkpoint was applied, [`Error::OutOfRange`] for pages of a larger RAM.
    pub fn mend(&self, dirty: &PageSet) -> Result<u64> {
        self.check_set(dirty)?;
        let store = lock(&self.store);
        if store.applied.is_none() {
            return Err(Error::NotReady {
                asked: 0,
                ready: None,
            });
        }
        store.cache.copy_to(&self.ram, dirty)?;
        Ok(dirty.len())
    }

    /// Drops what there is of this checkpoint and of later ones, whole or not. One that was applied stays.
    pub fn forget(&self, checkpoint: u64) {
        lock(&self.inbox).forget(checkpoint);
    }

    /// xxh3-64 of the SVM's RAM; of use while it is stopped.
    ///
    /// # Errors
    /// None in practice; see [`Error::OutOfRange`].
    pub fn ram_hash(&self) -> Result<u64> {
        self.ram.hash()
    }

    /// xxh3-64 of the cache. Pre-copy waits for it.
    ///
    /// # Errors
    /// None in practice; see [`Error::OutOfRange`].
    pub fn cache_hash(&self) -> Result<u64> {
        lock(&self.store).cache.hash()
    }

    fn check_set(&self, dirty: &PageSet) -> Result<()> {
        match dirty.first_from(self.ram.pages()) {
            None => Ok(()),
            Some(page) => Err(Error::OutOfRange {
                offset: page,
                len: 1,
                size: self.ram.pages(),
            }),
        }
    }
}

/// No code panics while it holds a lock here, so that a poisoned one means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
