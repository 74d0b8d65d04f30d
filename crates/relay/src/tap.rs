//! A tap with virtio's header before each frame: one frame per read and write.

use crate::port::Closed;
use crate::socket::is_frame_lost;
use colo_link::MAX_FRAME;
use rustix::io::{Errno, read, writev};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Frames and bytes read before others get their turn.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    Blocked,
    Lost,
}

pub(crate) struct Tap {
    fd: OwnedFd,
    buffer: Box<[u8]>,
}

impl Tap {
    /// Takes a non-blocking descriptor of a device without packet information.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            buffer: vec![0; MAX_FRAME].into_boxed_slice(),
        }
    }

    /// Reads a batch and hands over the frames; false when there was nothing.
    pub(crate) fn receive(&mut self, mut each: impl FnMut(&mut [u8])) -> Result<bool, Closed> {
        let mut bytes = 0;
        for _ in 0..BATCH {
            match read(&self.fd, &mut *self.buffer) {
                Ok(0) => return Err(Closed),
                Ok(count) => {
                    each(self.buffer.get_mut(..count).unwrap_or_default());
                    bytes += count;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Closed),
            }
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(bytes > 0)
    }

    /// Sends one frame, whose parts follow each other; virtio's header is the beginning of the first.
    pub(crate) fn send(&self, parts: &[IoSlice<'_>]) -> Result<Sent, Closed> {
        match writev(&self.fd, parts) {
            Ok(_) => Ok(Sent::Yes),
            Err(Errno::AGAIN) => Ok(Sent::Blocked),
            Err(error) if is_frame_lost(error) => Ok(Sent::Lost),
            Err(_) => Err(Closed),
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
