//! The tracker for kernels with soft-dirty bits but without PAGEMAP_SCAN (`admin-guide/mm/soft-dirty.rst`).
//!
//! Reading the bits and clearing them are two steps, and a write between them is lost, in either order: the bits are
//! cleared for all of the process. So the process is halted for both, even if the VM is stopped already, as QEMU's
//! own threads may write guest RAM.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::Tracker;
use super::freeze::Freezer;
use crate::PAGE;
use crate::error::{Error, Result};
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;
use crate::process::{Piece, ProcessMemory};

/// Bit of a pagemap entry.
const SOFT_DIRTY: u64 = 1 << 55;
/// What to write into clear_refs.
const CLEAR_SOFT_DIRTY: &[u8] = b"4";
/// Pagemap entries of 8 bytes that are read at once.
const ENTRIES: u64 = 32 * 1024;

/// See [`super::TrackerKind::SoftDirty`].
pub(crate) struct SoftDirty {
    bits: Bits,
    freezer: Freezer,
}

/// The bits of one process, without any care for writes that happen meanwhile.
pub(crate) struct Bits {
    process: ProcessMemory,
    clear_refs: File,
    pieces: Vec<Piece>,
    pages: u64,
}

impl SoftDirty {
    pub(crate) fn new(pid: i32, ram: &GuestRam) -> Result<Self> {
        if u32::try_from(pid) == Ok(std::process::id()) {
            return Err(Error::Tracker {
                kind: "soft-dirty",
                why: "a process cannot halt itself",
            });
        }
        let mut tracker = Self {
            bits: Bits::new(pid, ram)?,
            freezer: Freezer::new(pid)?,
        };
        tracker.bits.clear()?;
        Ok(tracker)
    }
}

impl Tracker for SoftDirty {
    fn collect(&mut self, _stopped: bool) -> Result<PageSet> {
        let _frozen = self
            .freezer
            .freeze()
            .map_err(|error| Error::TrackingLost(error.to_string()))?;
        let found = self.bits.read()?;
        self.bits.clear()?;
        Ok(found)
    }

    fn count(&mut self) -> Result<u64> {
        Ok(self.bits.read()?.len())
    }
}

impl Bits {
    pub(crate) fn new(pid: i32, ram: &GuestRam) -> Result<Self> {
        let mut process = ProcessMemory::open(pid, ram)?;
        let clear_refs = OpenOptions::new()
            .write(true)
            .open(format!("/proc/{pid}/clear_refs"));
        Ok(Self {
            pieces: process.layout()?,
            process,
            clear_refs: clear_refs.map_err(Error::io("/proc/PID/clear_refs"))?,
            pages: ram.pages(),
        })
    }

    pub(crate) fn clear(&mut self) -> Result<()> {
        self.clear_refs
            .write_all(CLEAR_SOFT_DIRTY)
            .map_err(Error::io("/proc/PID/clear_refs"))
    }

    pub(crate) fn read(&mut self) -> Result<PageSet> {
        let mut found = PageSet::new(self.pages);
        for piece in &self.pieces {
            self.read_piece(*piece, &mut found)?;
        }
        self.process.check(&self.pieces)?;
        Ok(found)
    }

    fn read_piece(&self, piece: Piece, found: &mut PageSet) -> Result<()> {
        let pages = piece.len / PAGE as u64;
        let (first_entry, first_page) = (piece.address / PAGE as u64, piece.offset / PAGE as u64);
        let mut buffer = vec![0; usize::try_from(ENTRIES.min(pages) * 8).unwrap_or(0)];
        let mut done = 0;
        while done < pages {
            let count = ENTRIES.min(pages - done);
            let (part, _) = buffer.split_at_mut(usize::try_from(count * 8).unwrap_or(0));
            // Short at the end of the process.
            self.process
                .pagemap
                .read_exact_at(part, (first_entry + done) * 8)
                .map_err(|error| Error::TrackingLost(format!("/proc/PID/pagemap: {error}")))?;
            for (page, entry) in (first_page + done..).zip(part.chunks_exact(8)) {
                if entry.try_into().map(u64::from_ne_bytes).unwrap_or(SOFT_DIRTY) & SOFT_DIRTY != 0 {
                    found.insert(page)?;
                }
            }
            done += count;
        }
        Ok(())
    }
}
