//! One end of a framed stream: a VM's socket, or an uplink that speaks the same.

use crate::framing::{BadLength, Fill, FrameReader, FrameWriter};
use crate::socket::unread_by_peer;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes that may wait for a VM that does not read; a frame more is dropped, as a network card does.
pub(crate) const OUTPUT_LIMIT: usize = 8 << 20;
/// More than a VM's socket holds, see [`VM_SOCKET`](crate::socket::VM_SOCKET).
const KEPT: usize = 384 << 10;

/// The socket is of no more use.
#[derive(Debug)]
pub struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl From<BadLength> for Closed {
    fn from(_: BadLength) -> Self {
        Self
    }
}

/// A framed stream with what waits to be sent.
pub struct Port {
    fd: OwnedFd,
    reader: FrameReader,
    writer: FrameWriter,
    /// The socket took no more; to be cleared when it does.
    pub blocked: bool,
    /// Bytes that the other end was not known to have read at [`Port::note_unread`].
    doubtful: usize,
}

impl Port {
    /// Takes a connected, non-blocking stream socket.
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
            blocked: false,
            doubtful: 0,
        }
    }

    /// The socket of a VM: it remembers what the VM may not have read.
    pub fn of_vm(fd: OwnedFd) -> Self {
        Self {
            writer: FrameWriter::keeping(KEPT),
            ..Self::new(fd)
        }
    }

    /// Reads once and hands over the frames; false when there was nothing.
    ///
    /// # Errors
    /// The other end has closed, the socket fails, or what came is no frame.
    pub fn receive(&mut self, mut each: impl FnMut(&mut [u8])) -> Result<bool, Closed> {
        match self.reader.fill(&self.fd)? {
            Fill::Empty => return Ok(false),
            Fill::End => return Err(Closed),
            Fill::Bytes => {}
        }
        while let Some(frame) = self.reader.next_frame()? {
            each(frame);
        }
        Ok(true)
    }

    /// Whether another frame may wait.
    pub fn has_room(&self) -> bool {
        self.writer.waiting() < OUTPUT_LIMIT
    }

    /// Queues a frame; false when there is no room and it was dropped.
    pub fn push(&mut self, frame: &[u8]) -> bool {
        let room = self.has_room();
        if room {
            self.writer.push(frame);
        }
        room
    }

    /// Writes what waits, as far as the socket takes it; not at all while it is known to take nothing. Hands over
    /// the frames that are begun.
    ///
    /// # Errors
    /// The socket fails.
    pub fn flush(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), Closed> {
        while self.writer.waiting() > 0 && !self.blocked {
            self.blocked = !self.writer.write_to(&self.fd, &mut each)?;
        }
        Ok(())
    }

    /// As [`Port::flush`], but begins no frame.
    ///
    /// # Errors
    /// The socket fails.
    pub fn finish(&mut self) -> Result<(), Closed> {
        while self.writer.begun() > 0 && !self.blocked {
            self.blocked = !self.writer.finish(&self.fd)?;
        }
        Ok(())
    }

    /// Begins the next frame that waits, if any, for [`Port::finish`].
    pub fn begin_one(&mut self) -> Option<&[u8]> {
        self.writer.begin_one()
    }

    /// Bytes that wait here.
    pub fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    /// Bytes of frames begun that the other end has not read, at most.
    pub fn unread(&self) -> usize {
        self.writer.begun() + unread_by_peer(&self.fd)
    }

    /// Remembers what is not read yet, for [`Port::doubtful`].
    pub fn note_unread(&mut self) {
        self.doubtful = self.unread();
    }

    /// The frames that were not known to be read at the last [`Port::note_unread`], or are not now.
    pub fn doubtful(&self) -> impl Iterator<Item = &[u8]> {
        self.writer.last(self.doubtful.max(self.unread()))
    }

    /// Nothing is in doubt any more but what is not read.
    pub fn forget_doubts(&mut self) {
        self.doubtful = 0;
    }

    /// Drops what waits, in step with the framing.
    pub fn drop_output(&mut self) {
        self.writer.clear();
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
