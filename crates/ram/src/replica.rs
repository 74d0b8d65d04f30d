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
/// The cache is, once a checkpoint was stored, always a whole and exact copy of the primary's RAM at the last stored
/// one. One thread may receive while another stores: they share no lock but for moments, except in pre-copy, which
/// ends before there is anything to store. A resync from scratch takes a new replica.
pub struct Replica {
    ram: GuestRam,
    inbox: Mutex<Inbox>,
    store: Mutex<Store>,
}

struct Store {
    cache: Cache,
    /// Pages that the SVM's RAM has not got from the cache yet.
    newer: PageSet,
    /// The last checkpoint stored, with its device state.
    stored: Option<(u64, Vec<u8>)>,
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
            newer: PageSet::new(ram.pages()),
            stored: None,
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

    /// Device state of a checkpoint that is whole, or that was the last to be stored.
    ///
    /// # Errors
    /// [`Error::NotReady`].
    pub fn device(&self, checkpoint: u64) -> Result<Vec<u8>> {
        let waiting = lock(&self.inbox).device(checkpoint).map(<[u8]>::to_vec);
        if let Some(device) = waiting {
            return Ok(device);
        }
        match &lock(&self.store).stored {
            Some((stored, device)) if *stored == checkpoint => Ok(device.clone()),
            _ => Err(Error::NotReady {
                asked: checkpoint,
                ready: None,
            }),
        }
    }

    /// Takes a whole checkpoint into the cache. The SVM's RAM stays as it is: the SVM may run meanwhile, or rest.
    /// Returns the number of pages that the cache now has newer than the SVM's RAM (with the pre-copy, for the first).
    ///
    /// # Errors
    /// [`Error::NotReady`] when it is not the oldest whole one; nothing has changed then.
    pub fn store(&self, checkpoint: u64) -> Result<u64> {
        let (mut incoming, brought) = {
            let mut inbox = lock(&self.inbox);
            let ready = inbox.ready();
            inbox.take(checkpoint).ok_or(Error::NotReady {
                asked: checkpoint,
                ready,
            })?
        };
        let mut store = lock(&self.store);
        store.newer = store.newer.union(&brought);
        for (index, page) in incoming.pages() {
            store.cache.write(index, page)?;
            store.newer.insert(index)?;
        }
        store.stored = Some((checkpoint, incoming.take_device()));
        let newer = store.newer.len();
        drop(store);
        lock(&self.inbox).recycle(incoming);
        Ok(newer)
    }

    /// The SVM being stopped: its RAM := the cache, on the pages that the cache has newer and on `dirty`, those that
    /// the SVM, a reset or a load wrote. Returns the number of pages.
    ///
    /// # Errors
    /// [`Error::NotReady`] before any checkpoint was stored, [`Error::OutOfRange`] for pages of a larger RAM; nothing
    /// has changed then.
    pub fn restore(&self, dirty: &PageSet) -> Result<u64> {
        self.check_set(dirty)?;
        let mut store = lock(&self.store);
        if store.stored.is_none() {
            return Err(Error::NotReady {
                asked: 0,
                ready: None,
            });
        }
        let pages = store.newer.union(dirty);
        store.cache.copy_to(&self.ram, &pages)?;
        store.newer = PageSet::new(self.ram.pages());
        Ok(pages.len())
    }

    /// [`Replica::store`], then [`Replica::restore`].
    ///
    /// # Errors
    /// Those of both.
    pub fn apply(&self, checkpoint: u64, dirty: &PageSet) -> Result<u64> {
        self.check_set(dirty)?;
        self.store(checkpoint)?;
        self.restore(dirty)
    }

    /// Drops what there is of this checkpoint and of later ones, whole or not. One that was stored stays.
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
