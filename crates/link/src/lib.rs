//! The replication link: its messages, its outgoing queue, its TLS session. No sockets, no clock, no threads:
//! the relay moves the bytes.
//!
//! Whoever reaches the port may send anything, so decoding is total and bounded: a message longer than
//! [`MAX_PAYLOAD`] or of a wrong shape is an error, after which the link is closed.

mod decoder;
mod message;
mod outgoing;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;

pub use decoder::Decoder;
pub use message::{DecodeError, HEADER, MAX_FLOW, MAX_FRAME, MAX_PAYLOAD, Message};
pub use outgoing::{BulkPull, Full, Outgoing};
pub use session::{Progress, Session, SessionError};
pub use tls::{Tls, TlsError};
