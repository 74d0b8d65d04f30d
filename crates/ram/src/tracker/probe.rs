//! Which trackers work here, found out by using them: versions and configuration of kernels tell less.

use std::os::fd::AsFd;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{UserfaultfdFlags, userfaultfd};

use super::pagemap_scan::PagemapScan;
use super::soft_dirty::Bits;
use super::{Tracker, TrackerKind};
use crate::PAGE;
use crate::error::{Error, Result};
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;

const PAGES: u64 = 1024;
/// The others are as a VM leaves what it never uses.
const TOUCHED: u64 = 64;
/// Needs no privilege (userfaultfd(2), Linux >= 5.11).
const UFFD_USER_MODE_ONLY: u32 = 1;

/// What a self-test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The tracker.
    pub kind: TrackerKind,
    /// Whether it saw exactly what was written.
    pub usable: bool,
    /// The same for people.
    pub why: String,
}

/// Tries each tracker on a small piece of RAM that this process writes itself. In order of preference.
#[must_use]
pub fn probe_trackers() -> Vec<Probe> {
    TrackerKind::ALL.into_iter().map(probe).collect()
}

fn probe(kind: TrackerKind) -> Probe {
    let (outcome, praise) = match kind {
        TrackerKind::PagemapScan => (try_pagemap_scan(), "sees exactly what is written"),
        TrackerKind::SoftDirty => (
            try_soft_dirty(),
            "works, and halts the VM's process for each collection",
        ),
        TrackerKind::Compare => (
            Ok(()),
            "works everywhere, but reads all RAM each time and needs as much memory again",
        ),
    };
    match outcome {
        Ok(()) => Probe {
            kind,
            usable: true,
            why: praise.into(),
        },
        Err(error) => Probe {
            kind,
            usable: false,
            why: error.to_string(),
        },
    }
}

fn try_pagemap_scan() -> Result<()> {
    let ram = small_ram()?;
    let user_mode_only = UserfaultfdFlags::from_bits_retain(UFFD_USER_MODE_ONLY);
    let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK | user_mode_only;
    // SAFETY: it is registered for a mapping that only raw copies touch, in a mode that never blocks a writer.
    let uffd = unsafe { userfaultfd(flags) }.map_err(Error::io("userfaultfd"))?;
    let mut tracker = PagemapScan::new(own_pid()?, &ram, uffd)?;
    exercise(&ram, TrackerKind::PagemapScan, || tracker.collect(false))
}

/// Without halting: this process writes in turn with reading the bits.
fn try_soft_dirty() -> Result<()> {
    let ram = small_ram()?;
    let mut bits = Bits::new(own_pid()?, &ram)?;
    bits.clear()?;
    exercise(&ram, TrackerKind::SoftDirty, || {
        let found = bits.read()?;
        bits.clear()?;
        Ok(found)
    })
}

/// Writes, sees it, sees nothing, writes the same page again, sees it again.
fn exercise(ram: &GuestRam, kind: TrackerKind, mut collect: impl FnMut() -> Result<PageSet>) -> Result<()> {
    for written in [
        &[3, 7, 8][..],
        &[],
        &[3],
        &[0, 63, 64],
        &[PAGES - 1],
        &[],
        &[65, PAGES - 2, PAGES - 1],
    ] {
        let mut expected = PageSet::new(PAGES);
        for page in written {
            ram.write_page(*page, &[1; PAGE])?;
            expected.insert(*page)?;
        }
        if collect()? != expected {
            return Err(Error::Tracker {
                kind: kind.name(),
                why: "this kernel does not report what was written",
            });
        }
    }
    Ok(())
}

/// Touched at its beginning only.
fn small_ram() -> Result<GuestRam> {
    let file = memfd_create("colo-probe", MemfdFlags::CLOEXEC).map_err(Error::io("memfd_create"))?;
    ftruncate(&file, PAGES * PAGE as u64).map_err(Error::io("ftruncate"))?;
    let ram = GuestRam::new(file.as_fd(), PAGES * PAGE as u64)?;
    for page in 0..TOUCHED {
        ram.write_page(page, &[9; PAGE])?;
    }
    Ok(ram)
}

fn own_pid() -> Result<i32> {
    i32::try_from(std::process::id()).map_err(|_| Error::Tracker {
        kind: "pagemap-scan",
        why: "no process number",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tracker_is_reported_in_order_of_preference() {
        let probes = probe_trackers();
        assert_eq!(
            probes.iter().map(|probe| probe.kind).collect::<Vec<_>>(),
            TrackerKind::ALL
        );
        assert!(probes.iter().all(|probe| !probe.why.is_empty()), "{probes:?}");
        assert!(probes[2].usable);
    }

    #[test]
    fn a_tracker_that_reports_nothing_or_everything_fails_the_self_test() {
        let ram = small_ram().unwrap();
        let kind = TrackerKind::PagemapScan;
        assert!(exercise(&ram, kind, || Ok(PageSet::new(PAGES))).is_err());
        assert!(exercise(&ram, kind, || Ok(PageSet::all(PAGES))).is_err());
    }
}
