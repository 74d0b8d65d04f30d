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
    /// Reported while the VM ran. The content that was copied afterwards may differ from the shadow, and equal
    /// content in the end would hide that: reported again, until once the VM stood still.
    unsettled: PageSet,
}

impl Compare {
    pub(crate) fn new(ram: &GuestRam) -> Result<Self> {
        let shadow = Mapping::private(ram.memory().len())?;
        ram.memory().copy_to(0, &shadow, 0, shadow.len())?;
        Ok(Self {
            ram: ram.clone(),
            shadow,
            unsettled: PageSet::new(ram.pages()),
        })
    }

    /// Pages that are not as in the copy; `see` gets their offset and content.
    fn differing(&self, mut see: impl FnMut(usize, &[u8; PAGE]) -> Result<()>) -> Result<PageSet> {
        let mut found = PageSet::new(self.ram.pages());
        let (mut now, mut before) = ([0; PAGE], [0; PAGE]);
        for index in 0..self.ram.pages() {
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
        let differing = self.differing(|offset, now| self.shadow.write(offset, now))?;
        let found = differing.union(&self.unsettled);
        self.unsettled = if stopped {
            PageSet::new(found.pages())
        } else {
            found.clone()
        };
        Ok(found)
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.differing(|_, _| Ok(()))?.union(&self.unsettled).len())
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
    fn content_from_before_the_tracker_is_not_a_write() {
        let ram = ram(4);
        ram.write_page(1, &[7; PAGE]).unwrap();
        let mut tracker = Compare::new(&ram).unwrap();
        assert!(tracker.collect(true).unwrap().is_empty());
        ram.write_page(1, &[0; PAGE]).unwrap();
        assert!(tracker.collect(true).unwrap().contains(1));
    }
}
