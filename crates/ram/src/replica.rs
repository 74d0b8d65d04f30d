//! The secondary's copy of the primary's RAM: the cache, and the checkpoints that will change it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Cache;
use crate::content::Content;
use crate::damaged::{Damaged, Why};
use crate::error::{Error, Result};
use crate::guest_ram::GuestRam;
use crate::inbox::{Accepted, Inbox, Received};
use crate::incoming::Base;
use crate::page_set::PageSet;
use crate::payload::{Pages, Payload};
use crate::{PAGE, Page};

/// RAM cache, incoming checkpoints, and the SVM's RAM that is restored from them.
///
/// The cache is, once a checkpoint was stored, always a whole and exact copy of the primary's RAM at the last stored
/// one. One thread may receive while another stores; what refers to the last checkpoint (a delta, device state) waits
/// until that is stored. A resync from scratch takes a new replica.
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
        let parsed = Payload::parse(kind, payload);
        let mut store = parsed.as_ref().is_ok_and(looks_back).then(|| lock(&self.store));
        let mut inbox = lock(&self.inbox);
        let base = store.as_deref().map(|store| store as &dyn Base);
        let pages = match inbox.receive(parsed, base)? {
            Accepted::Kept(received) => return Ok(received),
            Accepted::Precopy(pages) => pages,
        };
        if let Some(store) = &mut store {
            let taken = store.precopy(pages, &mut inbox);
            taken.map_err(|why| inbox.damage(0, why))?;
        }
        Ok(Received::Stored)
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
        // Before the inbox, as in `receive`: at no time is a checkpoint neither here nor there.
        let mut store = lock(&self.store);
        let (mut incoming, brought) = {
            let mut inbox = lock(&self.inbox);
            let ready = inbox.ready();
            inbox.take(checkpoint).ok_or(Error::NotReady {
                asked: checkpoint,
                ready,
            })?
        };
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

/// Whether a message is about what was stored before.
fn looks_back(payload: &Payload<'_>) -> bool {
    match *payload {
        Payload::Pages { checkpoint: 0, .. } | Payload::Device { .. } => true,
        Payload::Pages { mut pages, .. } => pages.any(|(_, content)| content.is_delta()),
        Payload::End { .. } => false,
    }
}

impl Store {
    /// Pages of pre-copy go straight into the cache.
    fn precopy(&mut self, pages: Pages<'_>, inbox: &mut Inbox) -> std::result::Result<(), Why> {
        let mut decoded = [0; PAGE];
        for (index, content) in pages {
            if let Content::Zeros(count) = content {
                let run = index..index.saturating_add(u64::from(count));
                self.cache.clear(run).map_err(|_| Why::NoSuchPage(index))?;
                inbox.precopied_zeros(index, count)?;
                continue;
            }
            let page = if let Content::Twin(other) = content {
                inbox.check_precopied(other)?;
                self.page(other, &mut decoded);
                Some(&decoded)
            } else {
                let page = content.decode(&mut decoded, |page| self.page(index, page));
                page.map_err(Why::Malformed)?
            };
            self.cache
                .write(index, page)
                .map_err(|_| Why::NoSuchPage(index))?;
            inbox.precopied(index, page)?;
        }
        Ok(())
    }
}

impl Base for Store {
    fn page(&self, index: u64, page: &mut Page) {
        // The inbox lets no page pass that the RAM does not have: there is nothing to fail.
        if self.cache.read(index, page).is_err() {
            page.fill(0);
        }
    }

    fn device(&self) -> &[u8] {
        self.stored.as_ref().map_or(&[], |(_, device)| device)
    }
}

/// No code panics while it holds a lock here, so that a poisoned one means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
