//! Which pages of the RAM file anybody touched. The others are holes: they read as zeros and take no memory, as long as
//! they are not read through a mapping.
//!
//! SEEK_DATA and SEEK_HOLE of lseek(2). tmpfs answers page by page, and counts one that is swapped out as data
//! (`mapping_seek_hole_data` in Linux's mm/filemap.c). What it walks over costs it time: a hole, however large, none to
//! speak of, data some 15 ns for each page.

use std::ops::Range;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::PAGE;
use crate::error::{Error, Result};
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;

impl GuestRam {
    /// Pages that may hold something other than zeros. Untouched ones are left untouched.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn used(&self) -> Result<PageSet> {
        let mut used = PageSet::new(self.pages());
        let mut from = 0;
        while let Some(start) = self.next_used(from)? {
            // The page may have become a hole meanwhile.
            let end = self
                .seek(SeekFrom::Hole(start * PAGE as u64))?
                .unwrap_or(self.pages())
                .max(start + 1);
            used.insert_run(start..end.min(self.pages()))?;
            from = end;
        }
        Ok(used)
    }

    /// The used pages of a range, one by one: never looks at what is used beyond its end.
    pub(crate) fn used_among(&self, range: Range<u64>) -> impl Iterator<Item = Result<u64>> + '_ {
        let mut from = range.start;
        std::iter::from_fn(move || match self.next_used(from) {
            Ok(Some(page)) if page < range.end => {
                from = page + 1;
                Some(Ok(page))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// The first used page that is `from` or later.
    pub(crate) fn next_used(&self, from: u64) -> Result<Option<u64>> {
        if from >= self.pages() {
            return Ok(None);
        }
        let found = self.seek(SeekFrom::Data(from * PAGE as u64))?;
        Ok(found.filter(|page| *page < self.pages()))
    }

    /// The page of that offset; `None` behind the last one.
    fn seek(&self, to: SeekFrom) -> Result<Option<u64>> {
        match seek(self.file(), to) {
            Ok(offset) => Ok(Some(offset / PAGE as u64)),
            Err(Errno::NXIO) => Ok(None),
            Err(errno) => Err(Error::io("lseek of the RAM file")(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::AsFd;

    use super::*;
    use crate::guest_ram::tests::{ram, ram_file};
    use proptest::prelude::*;
    use rustix::fs::{FallocateFlags, fallocate};

    const PAGES: u64 = 600;

    fn members(set: &PageSet) -> BTreeSet<u64> {
        set.runs().flatten().collect()
    }

    proptest! {
        #[test]
        fn exactly_the_pages_that_were_touched_are_used(
            written in prop::collection::btree_set(0..PAGES, 0..40),
            range in (0..PAGES, 0..PAGES),
        ) {
            let ram = ram(PAGES);
            written.iter().for_each(|page| ram.write_page(*page, &[0; PAGE]).unwrap());
            prop_assert_eq!(members(&ram.used().unwrap()), written.clone());
            let range = range.0.min(range.1)..range.0.max(range.1);
            let among: BTreeSet<u64> = ram.used_among(range.clone()).map(Result::unwrap).collect();
            prop_assert_eq!(among, written.range(range).copied().collect());
        }
    }

    #[test]
    fn memory_that_is_only_reserved_is_not_used() {
        let file = ram_file(PAGES);
        fallocate(&file, FallocateFlags::empty(), 0, PAGES * PAGE as u64).unwrap();
        let ram = GuestRam::new(file.as_fd(), PAGES * PAGE as u64).unwrap();
        assert!(ram.used().unwrap().is_empty());
        ram.write_page(PAGES - 1, &[0; PAGE]).unwrap();
        assert_eq!(members(&ram.used().unwrap()), [PAGES - 1].into());
    }

    #[test]
    fn what_lies_behind_the_ram_in_its_file_is_not_of_it() {
        let file = ram_file(8);
        GuestRam::new(file.as_fd(), 8 * PAGE as u64)
            .unwrap()
            .write_page(6, &[1; PAGE])
            .unwrap();
        let ram = GuestRam::new(file.as_fd(), 4 * PAGE as u64).unwrap();
        assert!(ram.used().unwrap().is_empty());
    }

    #[test]
    fn looking_and_hashing_touch_nothing() {
        let (ram, other) = (ram(PAGES), ram(PAGES));
        ram.write_page(70, &[3; PAGE]).unwrap();
        (0..PAGES).for_each(|page| other.write_page(page, &[u8::from(page == 70) * 3; PAGE]).unwrap());
        assert_eq!(ram.hash().unwrap(), other.hash().unwrap());
        assert_eq!(members(&ram.used().unwrap()), [70].into());
        assert_eq!(ram.blocks().unwrap(), 8);
    }
}
