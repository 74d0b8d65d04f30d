//! Dirty pages of a VM that runs in another process.

mod compare;
mod freeze;
mod pagemap_scan;
mod probe;
mod soft_dirty;

use std::os::fd::OwnedFd;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;

pub use probe::{Probe, probe_trackers};

/// Tells which pages were written.
pub trait Tracker: Send {
    /// Pages written since the last call (at first: since the tracker was opened), perhaps more. A write that
    /// happens meanwhile is in this set or in the next one. Content is to be copied after the call.
    ///
    /// `stopped`: the VM stands still from now until these pages are copied. Some trackers need it to forget what they
    /// reported while it ran; saying `false` is always right.
    ///
    /// # Errors
    /// [`Error::TrackingLost`]: pages may have been missed, everything is to be copied again, with a new tracker.
    fn collect(&mut self, stopped: bool) -> Result<PageSet>;

    /// How many pages the next `collect` would find by now, about: nothing is reset, and the VM is left alone.
    ///
    /// # Errors
    /// As `collect`.
    fn count(&mut self) -> Result<u64>;
}

/// The ways of seeing dirty pages, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackerKind {
    /// userfaultfd write-protection and PAGEMAP_SCAN (Linux >= 6.7); needs the shim in the VM's process.
    PagemapScan,
    /// Soft-dirty bits (`CONFIG_MEM_SOFT_DIRTY`); halts the VM's process for the time of a collection.
    SoftDirty,
    /// Compares all of the RAM with a copy of it: as much memory again, and as slow as reading all of it.
    Compare,
}

impl TrackerKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PagemapScan, Self::SoftDirty, Self::Compare];

    /// Its name in configuration and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PagemapScan => "pagemap-scan",
            Self::SoftDirty => "soft-dirty",
            Self::Compare => "compare",
        }
    }
}

impl FromStr for TrackerKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| Error::UnknownTracker(name.into()))
    }
}

/// Starts to track the RAM of process `pid`. `uffd` came from that process and is needed by
/// [`TrackerKind::PagemapScan`] alone, which ends when its last descriptor is closed.
///
/// # Errors
/// When the process does not map the RAM as needed, or the kernel refuses.
pub fn open_tracker(
    kind: TrackerKind,
    pid: i32,
    ram: &GuestRam,
    uffd: Option<OwnedFd>,
) -> Result<Box<dyn Tracker>> {
    Ok(match kind {
        TrackerKind::PagemapScan => {
            let missing = Error::Tracker {
                kind: kind.name(),
                why: "the VM's process handed over no userfaultfd",
            };
            Box::new(pagemap_scan::PagemapScan::new(pid, ram, uffd.ok_or(missing)?)?)
        }
        TrackerKind::SoftDirty => Box::new(soft_dirty::SoftDirty::new(pid, ram)?),
        TrackerKind::Compare => Box::new(compare::Compare::new(ram)?),
    })
}
