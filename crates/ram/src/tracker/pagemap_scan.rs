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

/// Regions that one system call may return.
const REGIONS: usize = 16 * 1024;
/// Written ranges closer than this are protected in one call: what a page table covers.
const SPAN_GAP: u64 = 2 << 20;

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
            self.scan(piece.address..piece.address + piece.len, Protect::No, |_| Ok(()))?;
        }
        self.process.check(&self.pieces)
    }

    fn collect_piece(&mut self, piece: Piece, found: &mut PageSet) -> Result<()> {
        let page = |address: u64| (address - piece.address + piece.offset) / PAGE as u64;
        let mut spans: Vec<Range<u64>> = Vec::new();
        self.scan(piece.address..piece.address + piece.len, Protect::No, |region| {
            extend(&mut spans, region);
            Ok(())
        })?;
        for span in spans {
            self.scan(span, Protect::Yes, |region| {
                found.insert_run(page(region.start)..page(region.end))
            })?;
        }
        Ok(())
    }

    fn scan(
        &mut self,
        range: Range<u64>,
        protect: Protect,
        mut visit: impl FnMut(Range<u64>) -> Result<()>,
    ) -> Result<()> {
        let mut position = range.start;
        while position < range.end {
            let pagemap = self.process.pagemap.as_fd();
            let (count, end) = uffd::scan(pagemap, position, range.end, protect, &mut self.regions)?;
            position = end;
            for region in self.regions.iter().take(count) {
                visit(region.start..region.end)?;
            }
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
}

/// Regions come in ascending order.
fn extend(spans: &mut Vec<Range<u64>>, region: Range<u64>) {
    match spans.last_mut() {
        Some(last) if region.start - last.end < SPAN_GAP => last.end = region.end,
        _ => spans.push(region),
    }
}
