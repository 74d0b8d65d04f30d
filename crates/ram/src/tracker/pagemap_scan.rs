//! The tracker of choice: userfaultfd write-protection, read and reset with PAGEMAP_SCAN.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use super::Tracker;
use crate::PAGE;
use crate::error::{Error, Result};
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

/// Pages of RAM that are watched, or not, together: what one page table covers.
const BLOCK: u64 = 512;

/// See [`super::TrackerKind::PagemapScan`].
///
/// What nobody ever touched takes no page table, and no look at one. Of memory without page tables the kernel says that
/// it was written (since 7.2 and in stable kernels of 2026) or that it was not (before): it is not asked. That the RAM
/// file holds nothing there tells that nothing was written. A block is watched from when the file holds something in it.
pub(crate) struct PagemapScan {
    /// The protection lasts as long as it.
    uffd: OwnedFd,
    ram: GuestRam,
    process: ProcessMemory,
    pieces: Vec<Piece>,
    /// Whole blocks: protected once, and scanned since.
    watched: PageSet,
    /// What was found in blocks when their watch began, for the next collection.
    fresh: PageSet,
    regions: Vec<Region>,
}

impl PagemapScan {
    pub(crate) fn new(pid: i32, ram: &GuestRam, uffd: OwnedFd) -> Result<Self> {
        uffd::handshake(uffd.as_fd())?;
        let mut process = ProcessMemory::open(pid, ram)?;
        let pieces = process.layout()?;
        for piece in &pieces {
            uffd::register(uffd.as_fd(), piece.address, piece.len)?;
        }
        let mut tracker = Self {
            uffd,
            ram: ram.clone(),
            process,
            pieces,
            watched: PageSet::new(ram.pages()),
            fresh: PageSet::new(ram.pages()),
            regions: vec![Region::default(); REGIONS],
        };
        tracker.try_it()?;
        for run in blocks_of(&ram.used()?)?.runs() {
            tracker.protect(run)?;
        }
        Ok(tracker)
    }

    /// Fails if the userfaultfd is another process's or the kernel lacks a feature.
    fn try_it(&mut self) -> Result<()> {
        for piece in self.pieces.clone() {
            self.scan(piece, 0..1, Protect::No, |_| Ok(()))?;
        }
        self.process.check(&self.pieces)
    }

    /// Begins to watch the blocks in which the RAM file holds something by now. All that it holds there was perhaps
    /// written; what is written after the block was protected, its page table tells.
    fn watch_touched(&mut self) -> Result<()> {
        let mut from = 0;
        while let Some(unwatched) = self.watched.first_gap_from(from) {
            let Some(page) = self.ram.next_used(unwatched)? else {
                break;
            };
            from = page;
            if !self.watched.contains(page) {
                let block = block_of(page, self.ram.pages());
                from = block.end;
                self.protect(block.clone())?;
                for page in self.ram.used_among(block) {
                    self.fresh.insert(page?)?;
                }
            }
        }
        Ok(())
    }

    /// Nothing in these pages counts as written any more, and from here on they are watched.
    fn protect(&mut self, pages: Range<u64>) -> Result<()> {
        for piece in &self.pieces {
            let first = piece.offset / PAGE as u64;
            let (start, end) = (
                pages.start.max(first),
                pages.end.min(first + piece.len / PAGE as u64),
            );
            if start < end {
                let address = piece.address + (start - first) * PAGE as u64;
                uffd::protect(self.uffd.as_fd(), address, (end - start) * PAGE as u64)
                    .map_err(|error| Error::TrackingLost(error.to_string()))?;
            }
        }
        self.watched.insert_run(pages)
    }

    fn collect_piece(&mut self, piece: Piece, found: &mut PageSet) -> Result<()> {
        let mut seen = PageSet::new(piece.len / PAGE as u64);
        self.look(piece, |run| seen.insert_run(run))?;
        let first = piece.offset / PAGE as u64;
        for span in spans(&seen) {
            self.scan(piece, span, Protect::Yes, |run| {
                found.insert_run(first + run.start..first + run.end)
            })?;
        }
        Ok(())
    }

    /// Visits runs of written pages in all that is watched of the piece, numbered from its start.
    fn look(&mut self, piece: Piece, mut visit: impl FnMut(Range<u64>) -> Result<()>) -> Result<()> {
        let first = piece.offset / PAGE as u64;
        let last = first + piece.len / PAGE as u64;
        let mut from = first;
        while let Some(run) = self.watched.run_from(from).filter(|run| run.start < last) {
            from = run.end;
            self.scan(
                piece,
                run.start - first..run.end.min(last) - first,
                Protect::No,
                &mut visit,
            )?;
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
        self.watch_touched()?;
        let mut found = self.fresh.clone();
        for piece in self.pieces.clone() {
            self.collect_piece(piece, &mut found)?;
        }
        // A process that is gone has no dirty pages, and no error says so.
        self.process.check(&self.pieces)?;
        self.fresh = PageSet::new(found.pages());
        Ok(found)
    }

    fn count(&mut self) -> Result<u64> {
        self.watch_touched()?;
        let mut found = self.fresh.clone();
        for piece in self.pieces.clone() {
            let first = piece.offset / PAGE as u64;
            self.look(piece, |run| found.insert_run(first + run.start..first + run.end))?;
        }
        self.process.check(&self.pieces)?;
        Ok(found.len())
    }
}

fn block_of(page: u64, pages: u64) -> Range<u64> {
    let start = page / BLOCK * BLOCK;
    start..pages.min(start + BLOCK)
}

/// The whole blocks that these pages lie in.
fn blocks_of(pages: &PageSet) -> Result<PageSet> {
    let mut blocks = PageSet::new(pages.pages());
    let mut from = 0;
    while let Some(page) = pages.first_from(from) {
        let block = block_of(page, pages.pages());
        from = block.end;
        blocks.insert_run(block)?;
    }
    Ok(blocks)
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

    #[test]
    fn blocks_are_whole_but_for_the_last() {
        let mut set = PageSet::new(1500);
        for run in [511..512, 600..700, 1499..1500] {
            set.insert_run(run).unwrap();
        }
        assert_eq!(blocks_of(&set).unwrap(), PageSet::all(1500));
        set = PageSet::new(1500);
        set.insert(1400).unwrap();
        let found = blocks_of(&set).unwrap();
        assert_eq!((found.first_from(0), found.len()), (Some(1024), 1500 - 1024));
    }
}
