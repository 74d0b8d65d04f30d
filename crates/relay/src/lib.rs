//! The relay: one thread that moves frames between uplinks, VM sockets and the replication link.
//!
//! It decides nothing. Roles, cuts and commits come from the agent as calls of [`Relay`]; what happens comes
//! back as [`Event`]s. What it does guarantee: frames reach both VMs in the same order; no frame goes to an
//! uplink while the gate is closed, nor before [`colo_compare::Compare`] released it, nor before the secondary
//! knows the sequence numbers it speaks of; every queue is bounded.

mod addresses;
mod calls;
mod capture;
mod clock;
mod command;
mod config;
mod deferred;
mod egress;
mod engine;
mod error;
mod event;
mod framing;
mod gate;
mod handle;
mod heartbeat;
mod ingress;
mod io;
mod link;
mod link_io;
mod nic;
mod observe;
mod pcapng;
mod port;
mod primary;
mod recent;
mod secondary;
mod shelf;
mod socket;
mod stats;
mod tap;
mod uplink;
mod vm_port;
mod vm_tap;
mod watched;

pub use clock::boottime_ns;
pub use colo_compare::Divergence;
pub use command::UplinkKind;
pub use config::Config;
pub use error::Error;
pub use event::Event;
pub use handle::Relay;
pub use observe::Divergences;

/// The framing of streams, for fuzzing and for measurements from outside.
#[cfg(feature = "testing")]
pub mod testing {
    pub use crate::framing::{BadLength, Fill, FrameReader, FrameWriter};
    pub use crate::port::{Closed, Port};
    pub use crate::shelf::Shelf;
}
