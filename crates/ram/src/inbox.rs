//! Checkpoints on their way in: collected aside, checked as a whole, kept until they are applied.

use std::collections::BTreeMap;

use crate::damaged::{Damaged, Why};
use crate::incoming::Incoming;
use crate::page_set::PageSet;
use crate::payload::{End, Pages, Payload};

/// Buffers up to this size are kept for the next checkpoint: fresh memory costs a page fault for every page.
const SPARE_SIZE: usize = 96 * 1024;

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
        /// Bytes of payload that it took.
        bytes: u64,
    },
}

/// Incoming checkpoints, in order and bounded. Knows no cache and no VM.
pub(crate) struct Inbox {
    ram_pages: u64,
    limit: usize,
    /// Pages that pre-copy brought and no applied checkpoint has covered yet.
    precopied: PageSet,
    /// The last checkpoint that was whole. The next one must follow it: it holds only what changed since.
    base: Option<u64>,
    applied: Option<u64>,
    complete: BTreeMap<u64, Incoming>,
    current: Option<(u64, Incoming)>,
    damaged: Option<u64>,
    /// Empty buffers, of at most `limit` bytes in all.
    spare: Vec<Vec<u8>>,
}

/// What to do with a message that was accepted.
pub(crate) enum Accepted<'a> {
    /// Write these pages into the cache now.
    Precopy(Pages<'a>),
    /// Nothing: it was kept here.
    Kept(Received),
}

impl Inbox {
    pub(crate) fn new(ram_pages: u64, limit: usize) -> Self {
        Self {
            ram_pages,
            limit,
            precopied: PageSet::new(ram_pages),
            base: None,
            applied: None,
            complete: BTreeMap::new(),
            current: None,
            damaged: None,
            spare: Vec::new(),
        }
    }

    /// Takes one bulk message. After damage its checkpoint is forgotten and the rest of it dropped.
    pub(crate) fn receive<'a>(&mut self, kind: u8, payload: &'a [u8]) -> Result<Accepted<'a>, Damaged> {
        let parsed = Payload::parse(kind, payload).map_err(|why| self.unreadable(why))?;
        let (checkpoint, ends) = (parsed.checkpoint(), matches!(parsed, Payload::End { .. }));
        let outcome = if self.damaged == Some(checkpoint) {
            Ok(Accepted::Kept(Received::Dropped))
        } else {
            self.accept(parsed, payload)
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

    fn damage(&mut self, checkpoint: u64, why: Why) -> Damaged {
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
            self.precopied = PageSet::new(self.ram_pages);
        }
    }

    fn accept<'a>(&mut self, parsed: Payload<'a>, payload: &'a [u8]) -> Result<Accepted<'a>, Why> {
        if let Payload::Pages { pages, .. } = parsed {
            self.check_range(pages)?;
        }
        match parsed {
            Payload::Pages { checkpoint: 0, pages } => self.precopy(pages),
            Payload::Pages { checkpoint, pages } => self.keep_pages(checkpoint, pages, payload),
            Payload::Device {
                checkpoint,
                offset,
                bytes,
            } => self.keep_device(checkpoint, offset, bytes, payload),
            Payload::End { checkpoint, end } => self.finish(checkpoint, end),
        }
    }

    fn check_range(&self, mut pages: Pages<'_>) -> Result<(), Why> {
        match pages.find(|(index, _)| *index >= self.ram_pages) {
            Some((index, _)) => Err(Why::NoSuchPage(index)),
            None => Ok(()),
        }
    }

    fn precopy<'a>(&mut self, pages: Pages<'a>) -> Result<Accepted<'a>, Why> {
        if let Some(base) = self.base {
            return Err(Why::LatePrecopy(base));
        }
        for (index, _) in pages {
            self.precopied.insert(index).map_err(|_| Why::NoSuchPage(index))?;
        }
        Ok(Accepted::Precopy(pages))
    }

    fn keep_pages<'a>(
        &mut self,
        checkpoint: u64,
        pages: Pages<'a>,
        payload: &[u8],
    ) -> Result<Accepted<'a>, Why> {
        let buffer = self.spare.pop().unwrap_or_default();
        self.room(checkpoint, payload)?.keep_pages(pages, payload, buffer);
        Ok(Accepted::Kept(Received::Stored))
    }

    fn keep_device<'a>(
        &mut self,
        checkpoint: u64,
        offset: u64,
        bytes: &[u8],
        payload: &[u8],
    ) -> Result<Accepted<'a>, Why> {
        self.room(checkpoint, payload)?.keep_device(offset, bytes)?;
        Ok(Accepted::Kept(Received::Stored))
    }

    /// The checkpoint that this message belongs to, begun if need be, with the message counted in.
    fn room(&mut self, checkpoint: u64, payload: &[u8]) -> Result<&mut Incoming, Why> {
        self.begin(checkpoint)?;
        let waiting: usize = self.complete.values().map(Incoming::bytes).sum();
        let (_, incoming) = self.current.as_mut().ok_or(Why::Unfinished(checkpoint))?;
        incoming.count(payload);
        if waiting + incoming.bytes() > self.limit {
            return Err(Why::Limit(self.limit));
        }
        Ok(incoming)
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
        let mut seen = self.precopied.clone();
        for (index, _) in incoming.pages() {
            seen.insert(index).map_err(|_| Why::NoSuchPage(index))?;
        }
        match self.ram_pages - seen.len() {
            0 => Ok(()),
            missing => Err(Why::NotWhole(missing)),
        }
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
        self.applied = Some(checkpoint);
        Some((
            incoming,
            std::mem::replace(&mut self.precopied, PageSet::new(self.ram_pages)),
        ))
    }

    /// Takes back the buffers of what was applied.
    pub(crate) fn recycle(&mut self, incoming: Incoming) {
        let buffers = incoming
            .into_buffers()
            .filter(|buffer| buffer.capacity() <= SPARE_SIZE);
        let room = (self.limit / SPARE_SIZE).saturating_sub(self.spare.len());
        self.spare.extend(buffers.take(room));
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
            .or(self.applied);
    }
}
