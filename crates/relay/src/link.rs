//! The link's socket: TLS over TCP, its outgoing queue, its heartbeat.

use crate::command::Bulk;
use crate::heartbeat::{Timing, Watch};
use crate::stats::Counters;
use colo_link::{Decoder, Message, Outgoing, Progress, Session, SessionError};
use colo_ram::{STATE_END, Tally};
use rustix::io::{Errno, read, write};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of urgent messages that may wait; at this the peer counts as lost.
const URGENT_LIMIT: usize = 64 << 20;
/// At this, frames from the uplink are dropped before either VM sees them, as a network card does.
const INGRESS_LIMIT: usize = URGENT_LIMIT / 2;
/// Bytes moved in one turn before others get theirs.
const TURN: usize = 256 * 1024;
/// Bulk messages made in one turn, for the same reason: few bytes may be many pages' work.
const BULK_MESSAGES: usize = 4;
/// Bulk sources that may wait.
const BULK_SOURCES: usize = 8;

pub(crate) struct Link {
    fd: OwnedFd,
    session: Session,
    outgoing: Outgoing,
    pub(crate) decoder: Decoder,
    bulk: VecDeque<Bulk>,
    pub(crate) watch: Watch,
    pub(crate) peer: String,
    /// Something has arrived: both sides have accepted each other.
    pub(crate) up: bool,
    /// Frames go to the secondary: since the first cut on this link.
    pub(crate) feeding: bool,
    /// ISN messages there were when feeding began; confirmations count from here.
    pub(crate) isn_base: u64,
    /// ISN messages received on this link.
    pub(crate) isn_received: u64,
    /// The secondary keeps a table of translations.
    pub(crate) has_translations: bool,
    /// What the peer will say once it holds a checkpoint, and which.
    pub(crate) commit_when: Option<(Vec<u8>, u64)>,
    pub(crate) since: u64,
    /// The first thing that went wrong; the link ends at the end of the turn.
    pub(crate) failed: Option<String>,
    pub(crate) progress: Progress,
    buffer: Box<[u8]>,
}

impl Link {
    pub(crate) fn new(fd: OwnedFd, session: Session, peer: String, timing: Timing, now: u64) -> Self {
        Self {
            fd,
            session,
            outgoing: Outgoing::new(URGENT_LIMIT),
            decoder: Decoder::default(),
            bulk: VecDeque::new(),
            watch: Watch::new(timing, now),
            peer,
            up: false,
            feeding: false,
            isn_base: 0,
            isn_received: 0,
            has_translations: false,
            commit_when: None,
            since: now,
            failed: None,
            progress: Progress::Done,
            buffer: vec![0; TURN].into_boxed_slice(),
        }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.session.is_established()
    }

    /// Ends the link at the end of this turn. The first reason counts.
    pub(crate) fn fail(&mut self, why: impl ToString) {
        self.failed.get_or_insert_with(|| why.to_string());
    }

    /// Queues an urgent message. At the limit the link is lost.
    pub(crate) fn push(&mut self, message: &Message<'_>) {
        if let Err(full) = self.outgoing.push(message) {
            self.fail(full);
        }
    }

    /// Whether another frame from the uplink may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.waiting() < INGRESS_LIMIT
    }

    /// Queues a bulk source; false when too many wait.
    pub(crate) fn push_bulk(&mut self, bulk: Bulk) -> bool {
        let room = self.bulk.len() < BULK_SOURCES;
        if room {
            self.bulk.push_back(bulk);
        }
        room
    }

    /// Reads once; what arrived is in the decoder. Returns the number of bytes.
    pub(crate) fn receive(&mut self) -> Result<usize, SessionError> {
        let count = match read(&self.fd, &mut *self.buffer) {
            Ok(0) => return Err(SessionError::Closed),
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(0),
            Err(error) => return Err(SessionError::Socket(error.into())),
        };
        self.session
            .receive(self.buffer.get(..count).unwrap_or_default(), &mut self.decoder)?;
        Ok(count)
    }

    /// Sends what waits: urgent messages first, bulk as far as the socket takes it. Transfers that are out go to
    /// `sent`.
    pub(crate) fn flush(&mut self, counters: &mut Counters, sent: &mut Vec<(u64, Tally)>) {
        let bulk = &mut self.bulk;
        let mut socket = Socket {
            fd: &self.fd,
            written: 0,
        };
        let mut pulled = 0;
        let mut pull = |out: &mut Vec<u8>| {
            pulled += 1;
            if pulled > BULK_MESSAGES {
                return None;
            }
            pull(bulk, out, &mut counters.bulk, sent)
        };
        let flushed = self
            .session
            .flush(&mut socket, &mut self.outgoing, TURN, &mut pull);
        counters.link_bytes_out += socket.written;
        match flushed {
            Ok(Progress::Done) if pulled > BULK_MESSAGES => self.progress = Progress::Budget,
            Ok(progress) => self.progress = progress,
            Err(error) => self.fail(error),
        }
    }

    /// Says good-bye as far as the socket takes it at once.
    pub(crate) fn close(mut self) {
        self.bulk.clear();
        let mut socket = Socket {
            fd: &self.fd,
            written: 0,
        };
        // Best effort: the peer notices the end of the connection in any case.
        let _ = self
            .session
            .flush(&mut socket, &mut self.outgoing, usize::MAX, &mut |_| None);
        self.session.close(&mut socket);
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One payload of the first source. Its last one is a STATE_END: with that, it is out.
fn pull(
    bulk: &mut VecDeque<Bulk>,
    out: &mut Vec<u8>,
    total: &mut Tally,
    sent: &mut Vec<(u64, Tally)>,
) -> Option<u8> {
    while let Some(first) = bulk.front_mut() {
        let mut tally = Tally::default();
        let kind = first.source.next(out, &mut tally);
        first.tally += tally;
        *total += tally;
        if kind == Some(STATE_END) {
            sent.push((first.source.checkpoint(), first.tally));
        }
        if kind.is_none_or(|kind| kind == STATE_END) {
            bulk.pop_front();
        }
        if kind.is_some() {
            return kind;
        }
    }
    None
}

struct Socket<'a> {
    fd: &'a OwnedFd,
    written: u64,
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = write(self.fd, bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let count = rustix::io::writev(self.fd, parts)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
