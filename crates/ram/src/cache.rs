//! A copy of a RAM, the secondary's cache and the primary's shadow, as large as that, but with memory only for pages that ever held something.

use std::ops::Range;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;
use crate::{PAGE, Page, ZERO_PAGE};

/// A copy of a RAM, sparse: whoever receives pages waits for the memory of those that the message brings, never for
/// that of a whole RAM. What most guests have never written is not kept a second time.
pub(crate) struct Cache {
    memory: Mapping,
    /// Pages that have been written. All others are zero, and their memory has not been touched.
    written: PageSet,
}

impl Cache {
    /// All zero, for a RAM of this size.
    pub(crate) fn new(ram: &GuestRam) -> Result<Self> {
        Ok(Self {
            memory: Mapping::sparse(ram.memory().len())?,
            written: PageSet::new(ram.pages()),
        })
    }

    /// Takes a page; `None` is a page of zeros.
    pub(crate) fn write(&mut self, index: u64, page: Option<&Page>) -> Result<()> {
        let offset = page_offset(index)?;
        match page {
            Some(page) => {
                self.written.insert(index)?;
                self.memory.write(offset, page)
            }
            None if self.written.contains(index) => self.memory.zero(offset, PAGE),
            None => Ok(()),
        }
    }

    /// Takes a run of pages of zeros.
    pub(crate) fn clear(&mut self, run: Range<u64>) -> Result<()> {
        let mut from = run.start;
        while let Some(index) = self.written.first_from(from).filter(|index| *index < run.end) {
            self.memory.zero(page_offset(index)?, PAGE)?;
            from = index + 1;
        }
        Ok(())
    }

    /// Copies a page out.
    pub(crate) fn read(&self, index: u64, page: &mut Page) -> Result<()> {
        if self.written.contains(index) {
            return self.memory.read(page_offset(index)?, page);
        }
        page.fill(0);
        Ok(())
    }

    /// The RAM := the cache on these pages. Pages of zeros that the RAM has not touched stay so.
    pub(crate) fn copy_to(&self, ram: &GuestRam, pages: &PageSet) -> Result<()> {
        if let Some(page) = pages.first_from(ram.pages()) {
            return Err(Error::OutOfRange {
                offset: page,
                len: 1,
                size: ram.pages(),
            });
        }
        for run in pages.intersection(&self.written).runs() {
            let (offset, end) = (page_offset(run.start)?, page_offset(run.end)?);
            self.memory.copy_to(offset, ram.memory(), offset, end - offset)?;
        }
        for run in pages.difference(&self.written).runs() {
            for index in ram.used_among(run) {
                clear(ram.memory(), page_offset(index?)?)?;
            }
        }
        Ok(())
    }

    /// xxh3-64 of all pages in order, as of a RAM with the same content.
    pub(crate) fn hash(&self) -> Result<u64> {
        let (mut hasher, mut page) = (Xxh3::new(), [0; PAGE]);
        for index in 0..self.written.pages() {
            self.read(index, &mut page)?;
            hasher.update(&page);
        }
        Ok(hasher.digest())
    }
}

/// Zeroes a page unless it is zero: the kernel maps many pages at once to be read, but each by itself to be written.
fn clear(memory: &Mapping, offset: usize) -> Result<()> {
    let mut page = [0; PAGE];
    memory.read(offset, &mut page)?;
    if page == ZERO_PAGE {
        Ok(())
    } else {
        memory.zero(offset, PAGE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::guest_ram::tests::ram;
    use proptest::prelude::*;

    const COUNT: u64 = 200;

    fn set(numbers: &[u64]) -> PageSet {
        let mut set = PageSet::new(COUNT);
        numbers.iter().for_each(|page| set.insert(*page).unwrap());
        set
    }

    /// Mostly zero pages, each written as the link brings it.
    fn writes() -> impl Strategy<Value = Vec<(u64, u8)>> {
        prop::collection::vec((0..COUNT, prop_oneof![3 => Just(0), 1 => 1..=255u8]), 0..80)
    }

    proptest! {
        #[test]
        fn is_a_copy_that_has_memory_only_for_pages_that_held_something(
            rounds in prop::collection::vec((writes(), writes()), 1..4),
        ) {
            let (primary, secondary) = (ram(COUNT), ram(COUNT));
            let mut cache = Cache::new(&primary).unwrap();
            let mut held = BTreeSet::new();
            for (writes, strays) in rounds {
                for (index, value) in &writes {
                    let page = [*value; PAGE];
                    primary.write_page(*index, &page).unwrap();
                    cache.write(*index, (*value != 0).then_some(&page)).unwrap();
                }
                held.extend(writes.iter().filter(|(_, value)| *value != 0).map(|(index, _)| *index));
                for (index, value) in &strays {
                    secondary.write_page(*index, &[*value; PAGE]).unwrap();
                }
                let touched: Vec<u64> = writes.iter().chain(&strays).map(|(index, _)| *index).collect();
                cache.copy_to(&secondary, &set(&touched)).unwrap();

                prop_assert_eq!(secondary.hash().unwrap(), primary.hash().unwrap());
                prop_assert_eq!(cache.hash().unwrap(), primary.hash().unwrap());
                prop_assert_eq!(cache.memory.resident(), held.iter().copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn pages_that_are_not_asked_for_stay_as_they_are() {
        let (source, target) = (ram(COUNT), ram(COUNT));
        let mut cache = Cache::new(&source).unwrap();
        cache.write(1, Some(&[1; PAGE])).unwrap();
        cache.write(2, Some(&[2; PAGE])).unwrap();
        (0..COUNT).for_each(|index| target.write_page(index, &[9; PAGE]).unwrap());
        cache.copy_to(&target, &set(&[2, 4])).unwrap();
        let first = |index| {
            let mut page = [0; PAGE];
            target.read_page(index, &mut page).unwrap();
            page[0]
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(first), [9, 9, 2, 9, 0, 9]);
    }

    #[test]
    fn a_ram_of_zeros_costs_no_memory() {
        let ram = ram(COUNT);
        let mut cache = Cache::new(&ram).unwrap();
        (0..COUNT).for_each(|index| cache.write(index, None).unwrap());
        cache.copy_to(&ram, &PageSet::all(COUNT)).unwrap();
        assert_eq!(cache.hash().unwrap(), ram.hash().unwrap());
        assert!(cache.memory.resident().is_empty());
        assert!(ram.used().unwrap().is_empty());
    }

    #[test]
    fn a_run_of_zeros_clears_what_was_there_and_touches_nothing_else() {
        let (source, target) = (ram(COUNT), ram(COUNT));
        let mut cache = Cache::new(&source).unwrap();
        for index in [3, 5, 9] {
            cache.write(index, Some(&[1; PAGE])).unwrap();
        }
        cache.clear(4..9).unwrap();
        cache.copy_to(&target, &PageSet::all(COUNT)).unwrap();
        source.write_page(3, &[1; PAGE]).unwrap();
        source.write_page(9, &[1; PAGE]).unwrap();
        assert_eq!(target.hash().unwrap(), source.hash().unwrap());
        assert_eq!(cache.memory.resident(), [3, 5, 9]);
    }

    #[test]
    fn a_page_has_the_memory_of_one_page_however_large_the_ram() {
        let mut cache = Cache::new(&ram(4096)).unwrap();
        cache.write(2000, Some(&[1; PAGE])).unwrap();
        assert_eq!(cache.memory.resident(), [2000]);
    }

    #[test]
    fn pages_outside_are_errors() {
        let mut cache = Cache::new(&ram(2)).unwrap();
        for index in [2, u64::MAX / 4096, u64::MAX] {
            assert!(cache.write(index, Some(&[1; PAGE])).is_err());
        }
        assert!(cache.memory.resident().is_empty());
        assert!(cache.copy_to(&ram(1), &PageSet::all(2)).is_err());
    }
}
