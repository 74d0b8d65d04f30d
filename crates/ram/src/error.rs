//! What can go wrong on this side. What a peer sends wrong is a [`crate::Damaged`] instead.

use std::io;

/// An error of guest RAM, its trackers, staging or replica.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Only 4 KiB pages are supported.
    #[error("this host has pages of {0} bytes, only 4096 is supported")]
    PageSize(i64),
    /// The size of guest RAM cannot be mapped.
    #[error("RAM size {0} is not a positive multiple of 4096 that this host can map")]
    Size(u64),
    /// The RAM file is not as large as the RAM; touching the rest would kill the agent (SIGBUS).
    #[error("RAM file has {have} bytes, {want} are needed")]
    FileSize {
        /// Size of the file.
        have: u64,
        /// Size of the RAM.
        want: u64,
    },
    /// Pages or bytes beyond the end of a mapping.
    #[error("bytes {offset}..+{len} lie outside of a mapping of {size} bytes")]
    OutOfRange {
        /// First byte.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Size of the mapping.
        size: u64,
    },
    /// More pages than the staging buffer may hold. Nothing was copied: keep the page set.
    #[error("{need} bytes of dirty pages, the staging limit is {limit}")]
    StagingLimit {
        /// Bytes to copy.
        need: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The previous checkpoint is still being sent from the staging buffer.
    #[error("the staging buffer is still being sent")]
    StagingBusy,
    /// The replica does not hold this checkpoint whole, or others come before it.
    #[error("checkpoint {asked} is not ready, ready is {ready:?}")]
    NotReady {
        /// The checkpoint asked for.
        asked: u64,
        /// The checkpoint that is next to be applied, if one is whole.
        ready: Option<u64>,
    },
    /// The process does not map the RAM file in the way that tracking needs.
    #[error("process {pid} does not map the RAM file as needed: {why}")]
    Layout {
        /// The process looked at.
        pid: i32,
        /// What is wrong with its mappings.
        why: String,
    },
    /// Pages may have been missed: what is known of dirty pages is void, a full resync is needed.
    #[error("dirty tracking was lost, a full resync is needed: {0}")]
    TrackingLost(String),
    /// The tracker cannot work with what it was given.
    #[error("tracker {kind}: {why}")]
    Tracker {
        /// Name of the tracker.
        kind: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// No tracker has this name.
    #[error("no tracker is called {0:?}")]
    UnknownTracker(String),
    /// The shim inside the VM's process could not create a userfaultfd.
    #[error("the VM's process could not create a userfaultfd: {0}")]
    Shim(io::Error),
    /// The other end of the hand-over socket did not behave like the shim.
    #[error("userfaultfd hand-over: {0}")]
    Handover(&'static str),
}

impl Error {
    /// For `map_err`: names what was tried.
    pub(crate) fn io<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            what,
            source: source.into(),
        }
    }
}

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;
