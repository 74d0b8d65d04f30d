//! The tracker of last resort: all of the RAM against a copy of it.

use super::Tracker;
use crate::PAGE;
use crate::error::Result;
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;

/// See [`super::TrackerKind::Compare`]. Sees writes of every origin, holes too.
pub(crate) struct Compare {
    ram: GuestRam,
    shadow: Mapping,
    /// Pages of which the shadow may hold something other than zeros. What the RAM has not touched is not looked at.
    held: PageSet,
    /// Reported while the VM ran. The content that was copied afterwards may differ from the shadow, and equal
    /// content in the end would hide that: reported again, until once the VM stood still.
    unsettled: PageSet,
}

impl Compare {
    pub(crate) fn new(ram: &GuestRam) -> Result<Self> {
        let shadow = Mapping::sparse(ram.memory().len())?;
        let held = ram.used()?;
        for run in held.runs() {
            let (offset, end) = (page_offset(run.start)?, page_offset(run.end)?);
            ram.memory().copy_to(offset, &shadow, offset, end - offset)?;
        }
        Ok(Self {
            ram: ram.clone(),
            shadow,
            held,
            unsettled: PageSet::new(ram.pages()),
        })
    }

    /// Those of these pages that are not as in the copy; `see` gets their offset and content.
    fn differing(
        &self,
        pages: &PageSet,
        mut see: impl FnMut(usize, &[u8; PAGE]) -> Result<()>,
    ) -> Result<PageSet> {
        let mut found = PageSet::new(self.ram.pages());
        let (mut now, mut before) = ([0; PAGE], [0; PAGE]);
        for index in pages.runs().flatten() {
            let offset = page_offset(index)?;
            self.ram.memory().read(offset, &mut now)?;
            self.shadow.read(offset, &mut before)?;
            if now != before {
                see(offset, &now)?;
                found.insert(index)?;
            }
        }
        Ok(found)
    }
}

impl Tracker for Compare {
    fn collect(&mut self, stopped: bool) -> Result<PageSet> {
        let held = self.ram.used()?.union(&self.held);
        let differing = self.differing(&held, |offset, now| self.shadow.write(offset, now))?;
        self.held = held;
        let found = differing.union(&self.unsettled);
        self.unsettled = if stopped {
            PageSet::new(found.pages())
        } else {
            found.clone()
        };
        Ok(found)
    }

    fn count(&mut self) -> Result<u64> {
        let pages = self.ram.used()?.union(&self.held);
        let differing = self.differing(&pages, |_, _| Ok(()))?;
        Ok(differing.union(&self.unsettled).len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_ram::tests::ram;

    #[test]
    fn a_page_that_changed_and_changed_back_while_it_was_copied_is_reported_again() {
        let ram = ram(4);
        let mut tracker = Compare::new(&ram).unwrap();
        ram.write_page(2, &[1; PAGE]).unwrap();
        assert!(tracker.collect(false).unwrap().contains(2));
        // Copied now with other content, which is gone again when the tracker looks.
        assert_eq!(tracker.collect(false).unwrap().len(), 1);
        assert_eq!(tracker.collect(true).unwrap().len(), 1);
        assert!(tracker.collect(true).unwrap().is_empty());
    }

    #[test]
    fn memory_that_nobody_touched_is_left_alone_and_its_first_write_is_seen() {
        let ram = ram(8);
        ram.write_page(1, &[7; PAGE]).unwrap();
        let mut tracker = Compare::new(&ram).unwrap();
        assert!(tracker.collect(true).unwrap().is_empty());
        assert_eq!(ram.blocks().unwrap(), 8);
        ram.write_page(6, &[7; PAGE]).unwrap();
        assert_eq!(tracker.count().unwrap(), 1);
        assert!(tracker.collect(true).unwrap().contains(6));
        assert_eq!(ram.blocks().unwrap(), 16);
    }

    #[test]
    fn content_from_before_the_tracker_is_not_a_write() {
        let ram = ram(4);
        ram.write_page(1, &[7; PAGE]).unwrap();
        let mut tracker = Compare::new(&ram).unwrap();
        assert!(tracker.collect(true).unwrap().is_empty());
        ram.write_page(1, &[0; PAGE]).unwrap();
        assert!(tracker.collect(true).unwrap().contains(1));
    }
}
