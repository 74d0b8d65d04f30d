//! What a call of the relay can answer instead of doing it.

use thiserror::Error;

/// Why a call was not carried out.
#[derive(Debug, Error)]
pub enum Error {
    /// The thread has ended.
    #[error("the relay is stopped")]
    Stopped,
    /// The thread did not answer in time. It may still carry the call out later.
    #[error("the relay did not answer {0} in time")]
    Timeout(&'static str),
    /// Too many calls wait for the thread.
    #[error("the relay has too many calls waiting")]
    Busy,
    /// There is no such network card.
    #[error("there is no network card {nic}, the relay was made for {nics}")]
    NoSuchNic {
        /// The one asked for.
        nic: u8,
        /// How many there are.
        nics: u8,
    },
    /// More bytes than one message or frame can have.
    #[error("{length} bytes are too many, the limit is {limit}")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The call does not fit what the relay is doing.
    #[error("{0}")]
    Refused(&'static str),
    /// A system call failed.
    #[error("{what}: {source}")]
    Os {
        /// Which.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The peer's name cannot be used.
    #[error(transparent)]
    Tls(#[from] colo_link::TlsError),
}

impl Error {
    /// For `map_err` at a system call.
    pub(crate) fn os<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Os {
            what,
            source: source.into(),
        }
    }
}
