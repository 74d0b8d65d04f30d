//! Frames as the comparison sees them: which connection, which message, which bytes matter.
//!
//! Frames come from hostile guests and clients. Every parser here is total and bounded: a short frame or a
//! lying length is a value (at worst a message over the whole frame), never a panic.
//!
//! [`classify`] reads a frame, [`set_ack`], [`set_seq`] and [`shift_sack`] change one and mend its checksum.

mod arp;
mod body;
#[cfg(feature = "testing")]
pub mod build;
pub mod checksum;
mod classify;
mod edit;
mod ethernet;
mod field;
mod flow;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod options;
pub mod seq;
mod source;
mod tcp;
mod udp;

pub use body::Body;
pub use classify::{Item, classify};
pub use edit::{set_ack, set_seq, shift_sack};
pub use flow::{Direction, FlowKey};
pub use source::{Source, source};
pub use tcp::{Tcp, TcpAt, flag};
