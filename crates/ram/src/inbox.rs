//! Checkpoints on their way in: collected aside, checked as a whole, kept until they are applied.

use std::collections::BTreeMap;

use crate::damaged::{Damaged, Why};
use crate::incoming::{BATCH_SIZE, Base, Incoming};
use crate::page_set::PageSet;
use crate::payload::{End, Pages, Payload};
use crate::precopy::Precopy;
use crate::{PAGE, Page};

/// What a bulk message led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It was pre-copied or kept; more is to come.
    Stored,
    /// It belongs to a checkpoint that was found damaged before, and was dropped.
    Dropped,
    /// The checkpoint is whole and checked: the moment of its commit.
    Complete {
        /// Its number.
        checkpoint: u64,
        /// Its pages.
        pages: u64,
        /// Bytes that it takes here.
        bytes: u64,
    },
}

/// Incoming checkpoints, in order and bounded. Knows no cache and no VM.
pub(crate) struct Inbox {
    ram_pages: u64,
    limit: usize,
    precopy: Precopy,
    /// The last checkpoint that was whole. The next one must follow it: it holds only what changed since.
    base: Option<u64>,
    stored: Option<u64>,
    complete: BTreeMap<u64, Incoming>,
    current: Option<(u64, Incoming)>,
    damaged: Option<u64>,
    /// Empty buffers, of at most `limit` bytes in all.
    spare: Vec<Vec<u8>>,
}

/// What to do with a message that was accepted.
pub(crate) enum Accepted<'a> {
    /// Decode these pages, write them into the cache, and tell of each by [`Inbox::precopied`].
    Precopy(Pages<'a>),
    /// Nothing: it was kept here.
    Kept(Received),
}

impl Inbox {
    pub(crate) fn new(ram_pages: u64, limit: usize) -> Self {
        Self {
            ram_pages,
            limit,
            precopy: Precopy::new(ram_pages),
            base: None,
            stored: None,
            complete: BTreeMap::new(),
            current: None,
            damaged: None,
            spare: Vec::new(),
        }
    }

    /// Takes one bulk message. After damage its checkpoint is forgotten and the rest of it dropped. `cache` is what was
    /// stored last.
    pub(crate) fn receive<'a>(
        &mut self,
        parsed: Result<Payload<'a>, &'static str>,
        cache: Option<&dyn Base>,
    ) -> Result<Accepted<'a>, Damaged> {
        let parsed = parsed.map_err(|why| self.unreadable(why))?;
        let (checkpoint, ends) = (parsed.checkpoint(), matches!(parsed, Payload::End { .. }));
        let outcome = if self.damaged == Some(checkpoint) {
            Ok(Accepted::Kept(Received::Dropped))
        } else {
            self.accept(parsed, cache)
                .map_err(|why| self.damage(checkpoint, why))
        };
        if ends && self.damaged == Some(checkpoint) {
            self.damaged = None;
        }
        outcome
    }

    /// It may have been pre-copy, or part of the checkpoint that is coming in: both are void.
    fn unreadable(&mut self, why: &'static str) -> Damaged {
        let checkpoint = self.current.as_ref().map_or(0, |(checkpoint, _)| *checkpoint);
        self.void_precopy();
        self.damage(checkpoint, Why::Malformed(why))
    }

    /// This checkpoint cannot be used.
    pub(crate) fn damage(&mut self, checkpoint: u64, why: Why) -> Damaged {
        if checkpoint == 0 {
            self.void_precopy();
        }
        self.current = None;
        self.damaged = Some(checkpoint);
        Damaged { checkpoint, why }
    }

    /// A lost pre-copy message may have been the newest copy of a page that came before: none counts as seen any more.
    fn void_precopy(&mut self) {
        if self.base.is_none() {
            self.precopy = Precopy::new(self.ram_pages);
        }
    }

    fn accept<'a>(&mut self, parsed: Payload<'a>, cache: Option<&dyn Base>) -> Result<Accepted<'a>, Why> {
        match parsed {
            Payload::Pages { checkpoint, pages } => {
                self.check_range(pages)?;
                if checkpoint == 0 {
                    return self.check_precopy().map(|()| Accepted::Precopy(pages));
                }
                self.keep_pages(checkpoint, pages, cache)?;
                Ok(Accepted::Kept(Received::Stored))
            }
            Payload::Device {
                checkpoint,
                size,
                pages,
            } => {
                self.keep_device(checkpoint, size, pages, cache)?;
                Ok(Accepted::Kept(Received::Stored))
            }
            Payload::End { checkpoint: 0, end } => self.finish_round(end),
            Payload::End { checkpoint, end } => self.finish(checkpoint, end),
        }
    }

    fn check_range(&self, mut pages: Pages<'_>) -> Result<(), Why> {
        let outside = |index: u64, count| index.checked_add(count).is_none_or(|end| end > self.ram_pages);
        match pages.find(|(index, content)| outside(*index, content.pages())) {
            Some((index, _)) => Err(Why::NoSuchPage(index)),
            None => Ok(()),
        }
    }

    fn check_precopy(&self) -> Result<(), Why> {
        self.base.map_or(Ok(()), |base| Err(Why::LatePrecopy(base)))
    }

    /// Whether pre-copy has brought this page, that another one may be like it.
    pub(crate) fn check_precopied(&self, index: u64) -> Result<(), Why> {
        let known = self.precopy.has(index);
        known
            .then_some(())
            .ok_or(Why::Malformed("a twin of a page that has not come"))
    }

    /// The cache has this page of pre-copy.
    pub(crate) fn precopied(&mut self, index: u64, page: Option<&Page>) -> Result<(), Why> {
        self.precopy.add(index, page)
    }

    /// The cache has these pages of pre-copy, all of them zeros.
    pub(crate) fn precopied_zeros(&mut self, index: u64, count: u32) -> Result<(), Why> {
        self.precopy.add_zeros(index, count)
    }

    fn finish_round<'a>(&mut self, announced: End) -> Result<Accepted<'a>, Why> {
        self.check_precopy()?;
        self.precopy.end_piece(announced)?;
        Ok(Accepted::Kept(Received::Stored))
    }

    fn keep_pages(&mut self, checkpoint: u64, pages: Pages<'_>, cache: Option<&dyn Base>) -> Result<(), Why> {
        self.room(checkpoint, pages, None)?;
        let (_, incoming) = self.current.as_mut().ok_or(Why::Unfinished(checkpoint))?;
        let mut decoded = [0; PAGE];
        for (index, content) in pages {
            if content.is_delta() && cache.is_none() {
                return Err(Why::Malformed("a delta of nothing"));
            }
            let find = |page: &mut Page| find(&self.complete, cache, index, page);
            let page = content.decode(&mut decoded, find).map_err(Why::Malformed)?;
            incoming.keep(index, page, || self.spare.pop().unwrap_or_default());
        }
        Ok(())
    }

    fn keep_device(
        &mut self,
        checkpoint: u64,
        size: u64,
        pages: Pages<'_>,
        cache: Option<&dyn Base>,
    ) -> Result<(), Why> {
        self.room(checkpoint, pages, Some(size))?;
        let last = self.complete.last_key_value().map(|(_, last)| last.device());
        let base = last.or_else(|| cache.map(Base::device)).unwrap_or_default();
        let (_, incoming) = self.current.as_mut().ok_or(Why::Unfinished(checkpoint))?;
        incoming.keep_device(size, pages, base)
    }

    /// Begins the checkpoint that this message belongs to if need be, and counts the message in.
    fn room(&mut self, checkpoint: u64, pages: Pages<'_>, device: Option<u64>) -> Result<(), Why> {
        self.begin(checkpoint)?;
        let waiting: usize = self.complete.values().map(Incoming::bytes).sum();
        let (_, incoming) = self.current.as_mut().ok_or(Why::Unfinished(checkpoint))?;
        incoming.count(pages);
        device.into_iter().for_each(|size| incoming.count_device(size));
        if waiting.saturating_add(incoming.bytes()) > self.limit {
            return Err(Why::Limit(self.limit));
        }
        Ok(())
    }

    fn begin(&mut self, checkpoint: u64) -> Result<(), Why> {
        match &self.current {
            Some((current, _)) if *current == checkpoint => return Ok(()),
            Some((current, _)) => return Err(Why::Unfinished(*current)),
            None => {}
        }
        let follows = self
            .base
            .is_none_or(|base| base.checked_add(1) == Some(checkpoint));
        if checkpoint == 0 || !follows {
            return Err(Why::NotNext { after: self.base });
        }
        self.current = Some((checkpoint, Incoming::default()));
        Ok(())
    }

    fn finish<'a>(&mut self, checkpoint: u64, end: End) -> Result<Accepted<'a>, Why> {
        self.begin(checkpoint)?;
        let (_, incoming) = self.current.take().ok_or(Why::Unfinished(checkpoint))?;
        incoming.check(end)?;
        self.check_whole(&incoming)?;
        let bytes = incoming.bytes() as u64;
        self.complete.insert(checkpoint, incoming);
        self.base = Some(checkpoint);
        Ok(Accepted::Kept(Received::Complete {
            checkpoint,
            pages: end.pages,
            bytes,
        }))
    }

    /// The first checkpoint and the pre-copy before it must together bring every page.
    fn check_whole(&self, incoming: &Incoming) -> Result<(), Why> {
        if self.base.is_some() {
            return Ok(());
        }
        self.precopy
            .check_whole_with(incoming.pages().map(|(index, _)| index))
    }

    /// The oldest checkpoint that is whole and waits.
    pub(crate) fn ready(&self) -> Option<u64> {
        self.complete.first_key_value().map(|(checkpoint, _)| *checkpoint)
    }

    /// Hands over the oldest whole checkpoint if it is this one, and the pages that pre-copy brought before it.
    pub(crate) fn take(&mut self, checkpoint: u64) -> Option<(Incoming, PageSet)> {
        let first = self
            .complete
            .first_entry()
            .filter(|entry| *entry.key() == checkpoint)?;
        let incoming = first.remove();
        self.stored = Some(checkpoint);
        Some((
            incoming,
            std::mem::replace(&mut self.precopy, Precopy::new(self.ram_pages)).into_pages(),
        ))
    }

    /// Takes back the buffers of what was stored: fresh memory costs a page fault for every page.
    pub(crate) fn recycle(&mut self, incoming: Incoming) {
        let room = (self.limit / BATCH_SIZE).saturating_sub(self.spare.len());
        self.spare.extend(incoming.into_buffers().into_iter().take(room));
    }

    /// Device state of a whole checkpoint that waits.
    pub(crate) fn device(&self, checkpoint: u64) -> Option<&[u8]> {
        self.complete.get(&checkpoint).map(Incoming::device)
    }

    /// Drops what there is of this checkpoint and of later ones; what was handed over stays.
    pub(crate) fn forget(&mut self, checkpoint: u64) {
        self.complete.split_off(&checkpoint);
        self.current.take_if(|(current, _)| *current >= checkpoint);
        self.damaged = None;
        self.base = self
            .complete
            .last_key_value()
            .map(|(last, _)| *last)
            .or(self.stored);
    }
}

/// Fills in a page as of the last whole checkpoint, which may wait here or be in the cache.
fn find(waiting: &BTreeMap<u64, Incoming>, cache: Option<&dyn Base>, index: u64, page: &mut Page) {
    match waiting.values().rev().find_map(|incoming| incoming.page(index)) {
        Some(Some(found)) => page.copy_from_slice(found),
        Some(None) => page.fill(0),
        None => cache.into_iter().for_each(|cache| cache.page(index, page)),
    }
}
