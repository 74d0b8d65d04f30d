//! The primary's dirty pages, copied aside before the VM is sent on, most of them before it even stops.

use std::sync::Arc;

use crate::PAGE;
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;
use crate::source::StagedState;
use crate::squeeze::Lz4;
use crate::staged::Staged;

/// A buffer for the pages of one checkpoint. Its memory comes with [`Staging::reserve`] or with what is copied, and
/// stays in use, up to the limit, so that the next checkpoint meets no page fault.
pub struct Staging {
    ram: GuestRam,
    staged: Arc<Staged>,
    /// Bytes from the start that have memory.
    populated: usize,
}

impl Staging {
    /// A buffer for at most `limit_bytes` of pages (at least one page).
    ///
    /// # Errors
    /// When there is no room for it in the address space.
    pub fn new(ram: &GuestRam, limit_bytes: u64) -> Result<Self> {
        let limit = limit_bytes.min(ram.size()) / PAGE as u64;
        let data = Mapping::private(page_offset(limit.max(1))?)?;
        Ok(Self {
            ram: ram.clone(),
            staged: Arc::new(Staged::new(data)),
            populated: 0,
        })
    }

    /// Finds memory for so many pages, as far as they fit, so that `gather` need not, with the VM standing still:
    /// 128 MiB of first touches were seen to take a quarter of a second.
    pub fn reserve(&mut self, pages: u64) {
        let wanted = usize::try_from(pages.saturating_mul(PAGE as u64)).unwrap_or(usize::MAX);
        if wanted > self.populated {
            self.staged.data().populate(self.populated..wanted);
            self.populated = wanted;
        }
    }

    /// Nothing is staged any more: the next checkpoint begins.
    ///
    /// # Errors
    /// [`Error::StagingBusy`] while a [`StagedState`] lives.
    pub fn clear(&mut self) -> Result<()> {
        self.exclusive()?.clear();
        Ok(())
    }

    /// Copies these pages from the RAM, in place of what was staged of them before; returns how many bytes are staged
    /// now. A page that a running VM writes meanwhile may come out torn: it has to be among the next ones.
    ///
    /// # Errors
    /// [`Error::StagingLimit`] when they do not fit, [`Error::StagingBusy`] while a [`StagedState`] lives,
    /// [`Error::OutOfRange`] when the set has pages that the RAM has not, all before anything is copied.
    pub fn gather(&mut self, pages: &PageSet) -> Result<u64> {
        let ram = self.ram.clone();
        let staged = self.exclusive()?;
        if let Some(offset) = pages.first_from(ram.pages()) {
            let (len, size) = (1, ram.pages());
            return Err(Error::OutOfRange { offset, len, size });
        }
        staged.add(&ram, pages)
    }

    fn exclusive(&mut self) -> Result<&mut Staged> {
        Arc::get_mut(&mut self.staged).ok_or(Error::StagingBusy)
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
    use crate::staged::Reader;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_reserved_has_memory_and_more_than_fits_is_no_error() {
        let ram = ram(4 * 4096);
        let mut staging = Staging::new(&ram, ram.size()).unwrap();
        let last = ram.pages() - 1;
        assert!(staging.staged.data().resident().is_empty());
        staging.reserve(ram.pages() - 2048);
        assert!(staging.staged.data().resident().contains(&(ram.pages() - 2049)));
        assert!(!staging.staged.data().resident().contains(&last));
        staging.reserve(u64::MAX);
        assert!(staging.staged.data().resident().contains(&last));
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
        assert_eq!(staging.staged.pages().len(), 3);
    }

    #[test]
    fn pages_being_sent_are_not_overwritten() {
        let ram = ram(8);
        let mut staging = Staging::new(&ram, 8 * 4096).unwrap();
        staging.gather(&PageSet::all(8)).unwrap();
        let encoder = Encoder::new(&ram, true).unwrap();
        let source = staging.source(1, Vec::new(), &encoder, Lz4::Never);
        for refused in [staging.gather(&PageSet::all(8)).map(drop), staging.clear()] {
            assert!(matches!(refused, Err(Error::StagingBusy)), "{refused:?}");
        }
        drop(source);
        assert!(staging.gather(&PageSet::all(8)).is_ok());
        assert!(staging.clear().is_ok());
    }

    proptest! {
        #[test]
        fn each_page_is_as_it_was_when_it_was_last_gathered(
            sets in prop::collection::vec(prop::collection::vec(0..150u64, 0..60), 0..5),
        ) {
            let ram = ram(150);
            let mut staging = Staging::new(&ram, ram.size()).unwrap();
            let mut model = BTreeMap::new();
            for (turn, set) in (1u8..).zip(sets) {
                let mut pages = PageSet::new(150);
                for page in set {
                    pages.insert(page).unwrap();
                    ram.write_page(page, &[turn ^ page as u8; PAGE]).unwrap();
                    model.insert(page, turn ^ page as u8);
                }
                prop_assert_eq!(staging.gather(&pages).unwrap(), (model.len() * PAGE) as u64);
            }
            let mut reader = Reader::new(Arc::clone(&staging.staged));
            prop_assert_eq!(reader.pages().runs().flatten().collect::<Vec<_>>(), model.keys().copied().collect::<Vec<_>>());
            for (page, byte) in model {
                let mut found = [0; PAGE];
                reader.read(page, &mut found).unwrap();
                prop_assert_eq!(found, [byte; PAGE]);
            }
            drop(reader);
            staging.clear().unwrap();
            prop_assert!(staging.staged.pages().is_empty());
        }
    }

    #[test]
    fn what_is_staged_counts_in_what_fits() {
        let ram = ram(8);
        let mut staging = Staging::new(&ram, 4 * 4096).unwrap();
        let run = |run| {
            let mut pages = PageSet::new(8);
            pages.insert_run(run).unwrap();
            pages
        };
        assert_eq!(staging.gather(&run(0..3)).unwrap(), 3 * 4096);
        assert_eq!(staging.gather(&run(1..4)).unwrap(), 4 * 4096);
        assert!(matches!(
            staging.gather(&run(3..5)),
            Err(Error::StagingLimit { need: 20480, .. })
        ));
        staging.clear().unwrap();
        assert_eq!(staging.gather(&run(3..5)).unwrap(), 2 * 4096);
    }

    #[test]
    fn a_set_of_another_ram_is_an_error() {
        let mut staging = Staging::new(&ram(8), 1 << 20).unwrap();
        let mut pages = PageSet::new(20);
        pages.insert(8).unwrap();
        assert!(matches!(staging.gather(&pages), Err(Error::OutOfRange { .. })));
    }
}
