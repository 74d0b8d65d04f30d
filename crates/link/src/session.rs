//! One TLS session, fed with bytes and drained into whatever takes them.

use crate::decoder::Decoder;
use crate::outgoing::{BulkPull, Outgoing};
use rustls::Connection;
use rustls_pki_types::ServerName;
use std::fmt;
use std::io::{BufRead, ErrorKind, Write};
use thiserror::Error;
use webpki::EndEntityCert;

/// Why a session ended.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(std::io::Error),
    /// The peer's bytes or certificate are not acceptable.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    /// The peer has a certificate of our CA, but of another node.
    #[error("the peer's certificate is not for {0}")]
    WrongPeer(String),
    /// The peer ended the session.
    #[error("closed by the peer")]
    Closed,
}

/// What [`Session::flush`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All that could be sent is sent.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// More is waiting, but this turn was long enough.
    Budget,
}

/// A TLS 1.3 session with mutual authentication; the peer is checked by name before any byte counts.
pub struct Session {
    connection: Connection,
    peer: ServerName<'static>,
    verified: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("peer", &self.peer)
            .field("verified", &self.verified)
            .finish()
    }
}

impl Session {
    pub(crate) fn new(mut connection: Connection, peer: ServerName<'static>) -> Self {
        // The outgoing queue is ours and bounded; TLS holds one chunk of it at most.
        connection.set_buffer_limit(None);
        Self {
            connection,
            peer,
            verified: false,
        }
    }

    /// Whether the handshake is done and the peer is who it should be.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.verified
    }

    /// Takes bytes of the socket; what they decrypt to goes to `decoder`.
    ///
    /// # Errors
    /// The session is over; [`Session::flush`] once more sends the reason (an alert) to the peer.
    pub fn receive(&mut self, mut bytes: &[u8], decoder: &mut Decoder) -> Result<(), SessionError> {
        while !bytes.is_empty() {
            self.connection
                .read_tls(&mut bytes)
                .map_err(SessionError::Socket)?;
            let state = self.connection.process_new_packets().map_err(SessionError::Tls)?;
            self.verify_peer()?;
            if self.verified {
                self.drain(decoder)?;
            }
            if state.peer_has_closed() {
                return Err(SessionError::Closed);
            }
        }
        Ok(())
    }

    /// Sends what is queued, urgent before bulk, until the socket blocks or about `budget` bytes are out.
    ///
    /// # Errors
    /// The socket failed.
    pub fn flush(
        &mut self,
        socket: &mut impl Write,
        queue: &mut Outgoing,
        mut budget: usize,
        pull: BulkPull<'_>,
    ) -> Result<Progress, SessionError> {
        loop {
            if !self.drain_records(socket)? {
                return Ok(Progress::Blocked);
            }
            if !self.verified {
                return Ok(Progress::Done);
            }
            if budget == 0 {
                return Ok(Progress::Budget);
            }
            let chunk = queue.next_chunk(pull);
            if chunk.is_empty() {
                return Ok(Progress::Done);
            }
            budget = budget.saturating_sub(chunk.len());
            self.connection
                .writer()
                .write_all(chunk)
                .map_err(SessionError::Socket)?;
        }
    }

    /// Says good-bye, as far as the socket takes it at once; a peer that misses it sees the connection end.
    pub fn close(&mut self, socket: &mut impl Write) {
        self.connection.send_close_notify();
        let _ = self.drain_records(socket);
    }

    /// Writes finished records; false when the socket takes no more.
    fn drain_records(&mut self, socket: &mut impl Write) -> Result<bool, SessionError> {
        while self.connection.wants_write() {
            match self.connection.write_tls(socket) {
                Ok(0) => return Err(SessionError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(SessionError::Socket(error)),
            }
        }
        Ok(true)
    }

    fn drain(&mut self, decoder: &mut Decoder) -> Result<(), SessionError> {
        let mut reader = self.connection.reader();
        loop {
            let count = match reader.fill_buf() {
                Ok([]) => return Err(SessionError::Closed),
                Ok(plain) => {
                    decoder.push(plain);
                    plain.len()
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(SessionError::Socket(error)),
            };
            reader.consume(count);
        }
    }

    /// The library checks the server's name for a client; the client's name is checked here. Doing both here
    /// costs nothing and leaves one rule.
    fn verify_peer(&mut self) -> Result<(), SessionError> {
        if self.verified || self.connection.is_handshaking() {
            return Ok(());
        }
        let certificate = self
            .connection
            .peer_certificates()
            .and_then(|chain| chain.first());
        let matches = certificate
            .and_then(|der| EndEntityCert::try_from(der).ok())
            .is_some_and(|end| end.verify_is_valid_for_subject_name(&self.peer).is_ok());
        if !matches {
            return Err(SessionError::WrongPeer(self.peer.to_str().into_owned()));
        }
        self.verified = true;
        Ok(())
    }
}
