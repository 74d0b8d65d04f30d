//! What the agent asks the thread to do.

use crate::capture::Ring;
use crate::error::Error;
use crate::observe::Divergences;
use crate::vm_port::VmPort;
use colo_link::Session;
use colo_ram::{BulkSource, Replica, Tally};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// What an uplink's descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UplinkKind {
    /// A tap, one frame per read and write; without packet information, with vnet headers of 12 bytes, little-endian. It
    /// has offloads if the card has.
    Tap,
    /// A stream socket with the VM's framing.
    Stream,
}

/// Where an answer goes.
pub(crate) type Reply<T> = SyncSender<Result<T, Error>>;

/// A bulk source, and what of it is out.
pub(crate) struct Bulk {
    pub(crate) source: Box<dyn BulkSource>,
    pub(crate) tally: Tally,
}

pub(crate) enum Command {
    AttachVm {
        nic: u8,
        port: VmPort,
    },
    AttachUplink {
        nic: u8,
        fd: OwnedFd,
        kind: UplinkKind,
    },
    AttachLink {
        fd: OwnedFd,
        session: Box<Session>,
        peer: String,
    },
    DetachLink,
    Send(Vec<u8>),
    Inject {
        nic: u8,
        frame: Vec<u8>,
    },
    PauseIngress {
        until: u64,
        reply: Reply<bool>,
    },
    Cut {
        checkpoint: u64,
        reply: Reply<()>,
    },
    ResumeIngress,
    Bulk {
        bulk: Bulk,
        reply: Reply<()>,
    },
    Commit(u64),
    CommitWhen {
        checkpoint: u64,
        payload: Vec<u8>,
    },
    Loaded(u64),
    WatchOutput(bool),
    Alone(Reply<()>),
    BeginSecondary {
        replica: Arc<Replica>,
        reply: Reply<()>,
    },
    SvmStopped(Reply<()>),
    EnterEpoch {
        epoch: u64,
        reply: Reply<()>,
    },
    Stored(u64),
    Deliver,
    ForgetCut(Reply<()>),
    Promote(Reply<()>),
    Close(Reply<()>),
    GuestAddresses {
        nic: u8,
        reply: Reply<Vec<(String, String)>>,
    },
    Divergences {
        last: usize,
        reply: Reply<Divergences>,
    },
    Capture(Ring),
    Captured(Reply<Ring>),
    Stats(Reply<Vec<(&'static str, u64)>>),
}
