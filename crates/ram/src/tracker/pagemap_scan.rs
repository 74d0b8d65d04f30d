//! The tracker of choice: userfaultfd write-protection, read and reset with PAGEMAP_SCAN.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use super::Tracker;
use crate::PAGE;
use crate::error::Result;
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;
use crate::process::{Piece, ProcessMemory};
use crate::uffd::{self, Protect, Region};

/// Regions that one system call may return. The kernel collects them in batches of this many, and after more than
/// one batch tells a `walk_end` before what it has reported (6.18): everything behind would be walked twice.
const REGIONS: usize = 512;
/// Bytes that one system call looks at: the kernel keeps the VM's process from mapping memory meanwhile, which it does
/// while it saves its devices.
const AT_ONCE: u64 = 128 << 20;
/// Written pages that are closer than this are protected in one call: what one page table covers.
const SPAN_GAP: u64 = 512;

/// See [`super::TrackerKind::PagemapScan`].
pub(crate) struct PagemapScan {
    /// Kept open: the protection lasts as long as it.
    _uffd: OwnedFd,
    process: ProcessMemory,
    pieces: Vec<Piece>,
    pages: u64,
    regions: Vec<Region>,
}

impl PagemapScan {
    pub(crate) fn new(pid: i32, ram: &GuestRam, uffd: OwnedFd) -> Result<Self> {
        uffd::handshake(uffd.as_fd())?;
        let mut process = ProcessMemory::open(pid, ram)?;
        let pieces = process.layout()?;
        for piece in &pieces {
            uffd::register(uffd.as_fd(), piece.address, piece.len)?;
            uffd::protect(uffd.as_fd(), piece.address, piece.len)?;
        }
        let regions = vec![Region::default(); REGIONS];
        let mut tracker = Self {
            _uffd: uffd,
            process,
            pieces,
            pages: ram.pages(),
            regions,
        };
        tracker.try_it()?;
        Ok(tracker)
    }

    /// Fails if the userfaultfd is another process's or the kernel lacks a feature.
    fn try_it(&mut self) -> Result<()> {
        for piece in self.pieces.clone() {
            self.scan(piece, 0..piece.len / PAGE as u64, Protect::No, |_| Ok(()))?;
        }
        self.process.check(&self.pieces)
    }

    fn collect_piece(&mut self, piece: Piece, found: &mut PageSet) -> Result<()> {
        let mut seen = PageSet::new(piece.len / PAGE as u64);
        self.scan(piece, 0..seen.pages(), Protect::No, |run| seen.insert_run(run))?;
        let first = piece.offset / PAGE as u64;
        for span in spans(&seen) {
            self.scan(piece, span, Protect::Yes, |run| {
                found.insert_run(first + run.start..first + run.end)
            })?;
        }
        Ok(())
    }

    /// Visits runs of written pages among `pages`, all numbered from the start of the piece.
    fn scan(
        &mut self,
        piece: Piece,
        pages: Range<u64>,
        protect: Protect,
        mut visit: impl FnMut(Range<u64>) -> Result<()>,
    ) -> Result<()> {
        let page_of = |address: u64| address.saturating_sub(piece.address) / PAGE as u64;
        let end = piece.address + pages.end * PAGE as u64;
        let mut position = piece.address + pages.start * PAGE as u64;
        while position < end {
            let pagemap = self.process.pagemap.as_fd();
            // The kernel allocates room for all of them, which shows when many small spans are scanned.
            let room = usize::try_from(pages.end - pages.start).map_or(REGIONS, |pages| pages.min(REGIONS));
            let regions = self.regions.get_mut(..room).unwrap_or_default();
            let until = end.min(position + AT_ONCE);
            let (count, reached) = uffd::scan(pagemap, position, until, protect, regions)?;
            for region in self.regions.iter().take(count) {
                visit(page_of(region.start)..page_of(region.end))?;
            }
            position = reached;
        }
        Ok(())
    }
}

impl Tracker for PagemapScan {
    /// Looks first and then protects, page by page in one step with reporting it, only around what it found: a scan
    /// that protects makes KVM drop its mappings of the whole range that is scanned, written or not. A page written
    /// between the two looks is in this set if it lies in such a range, otherwise in the next.
    fn collect(&mut self, _stopped: bool) -> Result<PageSet> {
        let mut found = PageSet::new(self.pages);
        for piece in self.pieces.clone() {
            self.collect_piece(piece, &mut found)?;
        }
        // A process that is gone has no dirty pages, and no error says so.
        self.process.check(&self.pieces)?;
        Ok(found)
    }

    fn count(&mut self) -> Result<u64> {
        let mut count = 0;
        for piece in self.pieces.clone() {
            self.scan(piece, 0..piece.len / PAGE as u64, Protect::No, |run| {
                count += run.end.saturating_sub(run.start);
                Ok(())
            })?;
        }
        self.process.check(&self.pieces)?;
        Ok(count)
    }
}

/// Ranges that hold all pages of the set, joined where the gap is small.
fn spans(set: &PageSet) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    for run in set.runs() {
        match spans.last_mut() {
            Some(last) if run.start - last.end < SPAN_GAP => last.end = run.end,
            _ => spans.push(run),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_runs_are_one_span_and_far_ones_are_not() {
        let mut set = PageSet::new(5000);
        for run in [3..4, 10..20, 531..532, 1044..1046, 4999..5000] {
            set.insert_run(run).unwrap();
        }
        assert_eq!(spans(&set), [3..532, 1044..1046, 4999..5000]);
        assert!(spans(&PageSet::new(9)).is_empty());
    }
}
