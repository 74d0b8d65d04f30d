//! What pre-copy has brought.

use crate::Page;
use crate::damaged::Why;
use crate::page_set::PageSet;
use crate::payload::End;
use crate::sum::Sum;

/// Pages that pre-copy brought and no stored checkpoint has covered yet.
pub(crate) struct Precopy {
    pages: PageSet,
    /// Of the piece under way.
    sum: Sum,
}

impl Precopy {
    pub(crate) fn new(ram_pages: u64) -> Self {
        Self {
            pages: PageSet::new(ram_pages),
            sum: Sum::default(),
        }
    }

    /// A page; `None` is one of zeros.
    pub(crate) fn add(&mut self, index: u64, page: Option<&Page>) -> Result<(), Why> {
        self.sum.add(index, page);
        self.pages.insert(index).map_err(|_| Why::NoSuchPage(index))
    }

    pub(crate) fn has(&self, index: u64) -> bool {
        self.pages.contains(index)
    }

    /// A run of pages of zeros.
    pub(crate) fn add_zeros(&mut self, index: u64, count: u32) -> Result<(), Why> {
        self.sum.add_zeros(index, count);
        let run = index..index.saturating_add(u64::from(count));
        self.pages.insert_run(run).map_err(|_| Why::NoSuchPage(index))
    }

    /// Whether the piece that ends here is what the sender says it sent.
    pub(crate) fn end_piece(&mut self, announced: End) -> Result<(), Why> {
        let sum = std::mem::take(&mut self.sum);
        let found = End {
            pages: sum.pages,
            device: 0,
            checksum: sum.digest(&[]),
        };
        if found == announced {
            Ok(())
        } else {
            Err(Why::differing(found, announced))
        }
    }

    /// The first checkpoint, which brings these pages, and the pre-copy before it must together bring every page.
    pub(crate) fn check_whole_with(&self, mut brought: impl Iterator<Item = u64>) -> Result<(), Why> {
        let mut seen = self.pages.clone();
        brought.try_for_each(|index| seen.insert(index).map_err(|_| Why::NoSuchPage(index)))?;
        match seen.pages() - seen.len() {
            0 => Ok(()),
            missing => Err(Why::NotWhole(missing)),
        }
    }

    pub(crate) fn into_pages(self) -> PageSet {
        self.pages
    }
}
