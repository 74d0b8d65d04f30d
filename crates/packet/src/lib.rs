//! Frames as the comparison sees them: which connection, which message, which bytes matter.
//!
//! Frames come from hostile guests and clients. Every parser here is total and bounded: a short frame or a
//! lying length is a value (at worst a message over the whole frame), never a panic.
//!
//! [`classify`] reads a frame, [`set_ack`], [`set_seq`], [`set_window`] and [`shift_sack`] change one and mend its
//! checksum, [`pure_ack`] makes an acknowledgement of a connection from any frame of it, a [`Train`] joins frames for the
//! way out, [`divide`] takes the front off one that is to be cut.

mod arp;
mod body;
#[cfg(feature = "testing")]
pub mod build;
pub mod checksum;
mod classify;
mod dhcp;
mod divide;
mod edit;
mod ethernet;
mod field;
mod flow;
mod fragment;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod offload;
mod options;
mod pure_ack;
pub mod seq;
mod source;
mod tcp;
mod train;
mod udp;

pub use body::Body;
pub use classify::{Item, classify, segment};
pub use divide::divide;
pub use edit::{set_ack, set_seq, set_window, shift_sack};
pub use flow::{Direction, FlowKey};
pub use fragment::{Fragment, put_together};
pub use offload::{Frame, Offload};
pub use pure_ack::pure_ack;
pub use source::{Source, source};
pub use tcp::{Tcp, TcpAt, flag};
pub use train::{Lead, Train};
