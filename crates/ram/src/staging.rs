//! The primary's dirty pages, copied aside while the VM is stopped and sent while it runs.

use std::sync::Arc;

use crate::PAGE;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;
use crate::source::StagedState;
use crate::squeeze::Lz4;

/// Bytes that get their memory at once, so that not even the first checkpoints wait for page faults while the VM is
/// stopped: several times what a busy VM writes between two checkpoints.
const POPULATED: usize = 32 << 20;

/// A buffer for the pages of one checkpoint. Its memory stays in use, up to the limit, so that the next
/// checkpoint meets no page fault.
pub struct Staging {
    ram: GuestRam,
    staged: Arc<Staged>,
    /// Bytes from the start that have memory.
    populated: usize,
}

/// Pages in ascending order, one after the other.
pub(crate) struct Staged {
    pub(crate) pages: PageSet,
    pub(crate) data: Mapping,
}

impl Staging {
    /// A buffer for at most `limit_bytes` of pages (at least one page).
    ///
    /// # Errors
    /// When there is no room for it in the address space.
    pub fn new(ram: &GuestRam, limit_bytes: u64) -> Result<Self> {
        let limit = limit_bytes.min(ram.size()) / PAGE as u64;
        let data = Mapping::private(page_offset(limit.max(1))?)?;
        data.populate(0..POPULATED);
        let staged = Staged {
            pages: PageSet::new(ram.pages()),
            data,
        };
        Ok(Self {
            ram: ram.clone(),
            staged: Arc::new(staged),
            populated: POPULATED,
        })
    }

    /// Finds memory for so many pages, as far as they fit, so that `gather` need not, with the VM standing still:
    /// 128 MiB of first touches were seen to take a quarter of a second.
    pub fn reserve(&mut self, pages: u64) {
        let wanted = usize::try_from(pages.saturating_mul(PAGE as u64)).unwrap_or(usize::MAX);
        if wanted > self.populated {
            self.staged.data.populate(self.populated..wanted);
            self.populated = wanted;
        }
    }

    /// Copies these pages from the RAM of the stopped VM, in place of what was staged before; returns the bytes.
    ///
    /// # Errors
    /// [`Error::StagingLimit`] when they do not fit and [`Error::StagingBusy`] while a [`StagedState`] lives, both
    /// before anything is copied; [`Error::OutOfRange`] when the set is of a larger RAM.
    pub fn gather(&mut self, pages: &PageSet) -> Result<u64> {
        let staged = Arc::get_mut(&mut self.staged).ok_or(Error::StagingBusy)?;
        let (need, limit) = (pages.len().saturating_mul(PAGE as u64), staged.data.len() as u64);
        if need > limit {
            return Err(Error::StagingLimit { need, limit });
        }
        staged.pages = PageSet::new(self.ram.pages());
        let mut at = 0;
        for run in pages.runs() {
            let (offset, end) = (page_offset(run.start)?, page_offset(run.end)?);
            self.ram
                .memory()
                .copy_to(offset, &staged.data, at, end - offset)?;
            staged.pages.insert_run(run)?;
            at += end - offset;
        }
        Ok(need)
    }

    /// What the link pulls: the staged pages, then this device state, then the end with the checksum. The pages
    /// stay as they are for as long as it lives. Encoding happens as it is pulled, long after the VM runs again.
    #[must_use]
    pub fn source(&self, checkpoint: u64, device: Vec<u8>, encoder: &Encoder, lz4: Lz4) -> StagedState {
        StagedState::new(checkpoint, Arc::clone(&self.staged), device, encoder, lz4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_ram::tests::ram;

    #[test]
    fn what_is_reserved_has_memory_and_more_than_fits_is_no_error() {
        let ram = ram(POPULATED as u64 / 4096 + 4096);
        let mut staging = Staging::new(&ram, ram.size()).unwrap();
        let last = ram.pages() - 1;
        assert!(!staging.staged.data.resident().contains(&last));
        staging.reserve(ram.pages() - 2048);
        assert!(staging.staged.data.resident().contains(&(ram.pages() - 2049)));
        assert!(!staging.staged.data.resident().contains(&last));
        staging.reserve(u64::MAX);
        assert!(staging.staged.data.resident().contains(&last));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_copied() {
        let ram = ram(8);
        let mut staging = Staging::new(&ram, 3 * 4096 + 100).unwrap();
        let mut pages = PageSet::new(8);
        pages.insert_run(2..5).unwrap();
        assert_eq!(staging.gather(&pages).unwrap(), 3 * 4096);
        pages.insert(7).unwrap();
        let refused = staging.gather(&pages);
        assert!(
            matches!(
                refused,
                Err(Error::StagingLimit {
                    need: 16384,
                    limit: 12288
                })
            ),
            "{refused:?}"
        );
        assert_eq!(staging.staged.pages.len(), 3);
    }

    #[test]
    fn pages_being_sent_are_not_overwritten() {
        let ram = ram(8);
        let mut staging = Staging::new(&ram, 8 * 4096).unwrap();
        staging.gather(&PageSet::all(8)).unwrap();
        let encoder = Encoder::new(&ram, true).unwrap();
        let source = staging.source(1, Vec::new(), &encoder, Lz4::Never);
        assert!(matches!(
            staging.gather(&PageSet::all(8)),
            Err(Error::StagingBusy)
        ));
        drop(source);
        assert!(staging.gather(&PageSet::all(8)).is_ok());
    }

    #[test]
    fn a_set_of_another_ram_is_an_error() {
        let mut staging = Staging::new(&ram(8), 1 << 20).unwrap();
        let mut pages = PageSet::new(20);
        pages.insert(8).unwrap();
        assert!(matches!(staging.gather(&pages), Err(Error::OutOfRange { .. })));
    }
}
