//! Pages that were copied aside in more than one go, and reading them in order.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;
use crate::{PAGE, Page};

/// Pages, part after part as they came; those of a part in ascending order. No page is in two parts.
pub(crate) struct Staged {
    parts: Vec<PageSet>,
    data: Mapping,
}

/// Reads staged pages in ascending order.
pub(crate) struct Reader {
    staged: Arc<Staged>,
    /// Of each part, where its next page lies: pages from the start.
    next: Vec<u64>,
}

impl Staged {
    pub(crate) fn new(data: Mapping) -> Self {
        let parts = Vec::new();
        Self { parts, data }
    }

    pub(crate) fn data(&self) -> &Mapping {
        &self.data
    }

    pub(crate) fn clear(&mut self) {
        self.parts.clear();
    }

    /// Copies these pages of the RAM, which has them all; returns the bytes that there are then.
    pub(crate) fn add(&mut self, ram: &GuestRam, pages: &PageSet) -> Result<u64> {
        let known = self.parts.iter();
        let new = known.fold(pages.clone(), |new, part| new.difference(part));
        let held = self.len();
        let (need, limit) = (
            (held + new.len()).saturating_mul(PAGE as u64),
            self.data.len() as u64,
        );
        if need > limit {
            return Err(Error::StagingLimit { need, limit });
        }
        let mut start = 0;
        for part in &self.parts {
            self.copy(ram, part, &pages.intersection(part), start)?;
            start += part.len();
        }
        self.copy(ram, &new, &new, held)?;
        if !new.is_empty() {
            self.parts.push(new);
        }
        Ok(need)
    }

    fn len(&self) -> u64 {
        self.parts.iter().map(PageSet::len).sum()
    }

    /// Copies members of a part that begins at page `start` to their places.
    fn copy(&self, ram: &GuestRam, part: &PageSet, members: &PageSet, start: u64) -> Result<()> {
        let (mut seen, mut place) = (0, start);
        for run in members.runs() {
            place += part.len_within(seen..run.start);
            let (offset, end) = (page_offset(run.start)?, page_offset(run.end)?);
            let at = page_offset(place)?;
            ram.memory().copy_to(offset, &self.data, at, end - offset)?;
            place += run.end - run.start;
            seen = run.end;
        }
        Ok(())
    }

    /// All that is staged.
    pub(crate) fn pages(&self) -> PageSet {
        let mut parts = self.parts.iter();
        let first = parts.next().cloned().unwrap_or_default();
        parts.fold(first, |all, part| all.union(part))
    }
}

impl Reader {
    pub(crate) fn new(staged: Arc<Staged>) -> Self {
        let next = staged.parts.iter().scan(0, |end, part| {
            let start = *end;
            *end += part.len();
            Some(start)
        });
        let next = next.collect();
        Self { staged, next }
    }

    /// All that there is to read.
    pub(crate) fn pages(&self) -> PageSet {
        self.staged.pages()
    }

    /// Copies a page out: of those that are staged, the first that was not read yet.
    pub(crate) fn read(&mut self, index: u64, page: &mut Page) -> Result<()> {
        for (part, next) in self.staged.parts.iter().zip(&mut self.next) {
            if part.contains(index) {
                let place = page_offset(*next)?;
                *next += 1;
                return self.staged.data.read(place, page);
            }
        }
        Err(Error::OutOfRange {
            offset: index,
            len: 1,
            size: 0,
        })
    }
}
