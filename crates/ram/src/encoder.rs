//! What the secondary has of a checkpoint already, and what it needs of the next one.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cache::Cache;
use crate::content::Content;
use crate::error::Result;
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;
use crate::payload::PagesWriter;
use crate::squeeze::{Kind, Lz4, Squeezer};
use crate::tally::Tally;
use crate::twins::{Hash, Twins};
use crate::{PAGE, Page, ZERO_PAGE};

/// Encodes what goes to one secondary. Clones are the same encoder.
///
/// With a shadow it keeps a copy of all that was sent: memory for each page that ever held something, as much as the
/// secondary's cache. What was sent counts as what the secondary has: a pairing in which that is not so ends
/// (docs/decisions/0008), and its encoder with it. Whatever is sent twice must be sent in the same order as it was
/// encoded.
#[derive(Clone)]
pub struct Encoder {
    state: Arc<Mutex<State>>,
}

pub(crate) struct State {
    shadow: Option<Shadow>,
    squeezer: Squeezer,
    page: Box<Page>,
    base: Box<Page>,
}

struct Shadow {
    ram: Cache,
    /// Pages that were ever sent. The others are nobody's base.
    sent: PageSet,
    /// In the first copy.
    twins: Option<Twins>,
    device: Vec<u8>,
}

impl Encoder {
    /// For a secondary that has nothing yet. Without a shadow each page is sent as if for the first time.
    ///
    /// # Errors
    /// When there is no room for the shadow in the address space.
    pub fn new(ram: &GuestRam, with_shadow: bool) -> Result<Self> {
        let shadow = if with_shadow {
            Some(Shadow {
                ram: Cache::new(ram)?,
                sent: PageSet::new(ram.pages()),
                twins: Some(Twins::new(ram.pages())),
                device: Vec::new(),
            })
        } else {
            None
        };
        let state = State {
            shadow,
            squeezer: Squeezer::new(),
            page: Box::new([0; PAGE]),
            base: Box::new([0; PAGE]),
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// xxh3-64 of what the secondary's cache should hold; `None` without a shadow.
    ///
    /// # Errors
    /// See [`crate::Error::OutOfRange`]; none in practice.
    pub fn shadow_hash(&self) -> Result<Option<u64>> {
        let state = self.lock();
        state.shadow.as_ref().map(|shadow| shadow.ram.hash()).transpose()
    }

    /// Nobody panics while holding it, so that a poisoned lock means nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Appends a page of guest RAM, which `read` fills in. Gives the page if it was sent: not when it is equal.
    pub(crate) fn page(
        &mut self,
        out: &mut PagesWriter<'_>,
        index: u64,
        lz4: Lz4,
        tally: &mut Tally,
        read: impl FnOnce(&mut Page) -> Result<()>,
    ) -> Result<Sent<'_>> {
        read(&mut self.page)?;
        let known = self
            .shadow
            .as_ref()
            .is_some_and(|shadow| shadow.sent.contains(index));
        if let Some(shadow) = &mut self.shadow {
            if known {
                shadow.ram.read(index, &mut self.base)?;
            } else if let Some(other) = shadow.twin(index, &self.page, &mut self.base) {
                out.put(index, &Content::Twin(other));
                tally.twin += 1;
                shadow.take(index, Some(&self.page))?;
                return Ok(Sent::Page(Some(&self.page)));
            }
        }
        let base = known.then_some(&*self.base);
        let kind = self.squeezer.put(out, index, &self.page, base, lz4);
        *counter(tally, kind) += 1;
        self.squeezer.settle(tally);
        let page = (kind != Kind::Zero).then_some(&*self.page);
        if kind == Kind::Equal {
            return Ok(Sent::Not);
        }
        if let Some(shadow) = &mut self.shadow {
            shadow.take(index, page)?;
        }
        Ok(Sent::Page(page))
    }

    /// What follows is no pre-copy: no page is sent as another one.
    pub(crate) fn end_first_copy(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.twins = None;
        }
    }

    /// A run of pages of zeros was sent.
    pub(crate) fn zeros_sent(&mut self, run: Range<u64>) -> Result<()> {
        match &mut self.shadow {
            Some(shadow) => {
                shadow.ram.clear(run.clone())?;
                shadow.sent.insert_run(run)
            }
            None => Ok(()),
        }
    }

    /// Appends a page of this device state. Its last page is filled up with zeros.
    pub(crate) fn device_page(
        &mut self,
        out: &mut PagesWriter<'_>,
        index: u64,
        device: &[u8],
        lz4: Lz4,
        tally: &mut Tally,
    ) {
        take_page(device, index, &mut self.page);
        let base = self.shadow.as_ref().map(|shadow| shadow.device.as_slice());
        take_page(base.unwrap_or_default(), index, &mut self.base);
        let base = base.map(|_| &*self.base);
        self.squeezer.put(out, index, &self.page, base, lz4);
        self.squeezer.settle(tally);
    }

    /// All of this device state was sent.
    pub(crate) fn device_sent(&mut self, device: Vec<u8>) {
        if let Some(shadow) = &mut self.shadow {
            shadow.device = device;
        }
    }
}

impl Shadow {
    /// The secondary has this page now.
    fn take(&mut self, index: u64, page: Option<&Page>) -> Result<()> {
        self.ram.write(index, page)?;
        self.sent.insert(index)
    }

    /// In the first copy, a page that the secondary has with the same content. If there is none, the page will be the
    /// twin of later ones.
    fn twin(&mut self, index: u64, page: &Page, other: &mut Page) -> Option<u64> {
        let twins = self.twins.as_mut().filter(|_| *page != ZERO_PAGE)?;
        let hash = Hash::of(page);
        let ram = &self.ram;
        let found = twins.find(hash, |known| ram.read(known, other).is_ok() && other == page);
        if found.is_none() {
            twins.note(hash, index);
        }
        found
    }
}

/// Whether a page was sent.
pub(crate) enum Sent<'a> {
    Not,
    /// Its content, `None` for zeros.
    Page(Option<&'a Page>),
}

fn counter(tally: &mut Tally, kind: Kind) -> &mut u64 {
    match kind {
        Kind::Zero => &mut tally.zero,
        Kind::Equal => &mut tally.equal,
        Kind::Delta => &mut tally.delta,
        Kind::Lz4 => &mut tally.lz4,
        Kind::Raw => &mut tally.raw,
    }
}

/// A page of bytes that go on with zeros for ever.
pub(crate) fn take_page(bytes: &[u8], index: u64, page: &mut Page) {
    let start = usize::try_from(index)
        .ok()
        .and_then(|index| index.checked_mul(PAGE));
    let rest = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
    let length = rest.len().min(PAGE);
    page.fill(0);
    if let (Some(place), Some(rest)) = (page.get_mut(..length), rest.get(..length)) {
        place.copy_from_slice(rest);
    }
}
