//! Guest RAM of a VM that runs in another process: which pages it wrote, copies of them, and a replica that follows.
//!
//! On the primary: [`GuestRam`] → [`Tracker`] → [`PageSet`] → [`Staging`] → [`BulkSource`] with [`Encoder`] → link. On the secondary: link →
//! [`Replica`] → the other [`GuestRam`]. Everything works from outside, on a shared mapping of the RAM file.
//!
//! What trackers cannot see, and whoever builds the VM must exclude: holes punched into the RAM file (watch
//! [`GuestRam::blocks`]), writes by DMA or through another process's mapping, RAM that is swapped or in huge pages of tmpfs.

mod blank;
mod cache;
mod content;
mod cursor;
mod damaged;
mod delta;
mod encoder;
mod error;
mod guest_ram;
mod handover;
mod holes;
mod inbox;
mod incoming;
mod mapping;
mod page_set;
mod payload;
mod precopy;
mod process;
mod replica;
mod sender;
mod source;
mod squeeze;
mod staged;
mod staging;
mod sum;
mod tally;
mod tracker;
mod twins;
mod uffd;

/// Bytes of a guest page.
pub const PAGE: usize = 4096;

/// A page's content.
pub(crate) type Page = [u8; PAGE];

pub(crate) const ZERO_PAGE: Page = [0; PAGE];

pub use blank::BlankPages;
pub use damaged::{Damaged, Why};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use guest_ram::GuestRam;
pub use handover::{HandedOver, receive_uffd};
pub use inbox::Received;
pub use page_set::PageSet;
pub use payload::{DEVICE, PAGES, STATE_END};
pub use replica::Replica;
pub use source::{BulkSource, LivePages, StagedState};
pub use squeeze::Lz4;
pub use staging::Staging;
pub use tally::Tally;
pub use tracker::{Probe, Tracker, TrackerKind, open_tracker, probe_trackers};
