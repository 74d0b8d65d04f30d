//! The way to the clients: a tap, or a stream that speaks the VM's framing.

use crate::command::UplinkKind;
use crate::port::{Closed, Port};
use crate::socket::is_frame_lost;
use colo_link::MAX_FRAME;
use rustix::io::{Errno, read, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Frames read from a tap before others get their turn.
const BATCH: usize = 64;

pub(crate) enum Uplink {
    Tap {
        fd: OwnedFd,
        buffer: Box<[u8]>,
        blocked: bool,
    },
    Stream(Port),
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    Blocked,
    Lost,
}

impl Uplink {
    /// Takes a non-blocking descriptor. A tap must be without packet information and without vnet headers.
    pub(crate) fn new(fd: OwnedFd, kind: UplinkKind) -> Self {
        match kind {
            UplinkKind::Tap => Self::Tap {
                fd,
                buffer: vec![0; MAX_FRAME].into_boxed_slice(),
                blocked: false,
            },
            UplinkKind::Stream => Self::Stream(Port::new(fd)),
        }
    }

    /// Reads a batch and hands over the frames.
    pub(crate) fn receive(&mut self, mut each: impl FnMut(&mut [u8])) -> Result<(), Closed> {
        match self {
            Self::Stream(port) => port.receive(each).map(|_| ()),
            Self::Tap { fd, buffer, .. } => {
                for _ in 0..BATCH {
                    match read(&mut *fd, &mut **buffer) {
                        Ok(0) => return Err(Closed),
                        Ok(count) => each(buffer.get_mut(..count).unwrap_or_default()),
                        Err(Errno::AGAIN | Errno::INTR) => break,
                        Err(_) => return Err(Closed),
                    }
                }
                Ok(())
            }
        }
    }

    /// Sends one frame, or queues it for [`Uplink::flush`].
    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<Sent, Closed> {
        match self {
            Self::Stream(port) if port.blocked => Ok(Sent::Blocked),
            Self::Stream(port) => Ok(if port.push(frame) {
                Sent::Yes
            } else {
                Sent::Blocked
            }),
            Self::Tap { fd, blocked, .. } => match write(fd, frame) {
                Ok(_) => Ok(Sent::Yes),
                Err(Errno::AGAIN) => {
                    *blocked = true;
                    Ok(Sent::Blocked)
                }
                Err(error) if is_frame_lost(error) => Ok(Sent::Lost),
                Err(_) => Err(Closed),
            },
        }
    }

    /// Writes what a stream has queued.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        match self {
            Self::Stream(port) => port.flush(|_| ()),
            Self::Tap { .. } => Ok(()),
        }
    }

    /// Bytes that a stream has queued.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Self::Stream(port) => port.waiting(),
            Self::Tap { .. } => 0,
        }
    }

    pub(crate) fn drop_output(&mut self) {
        if let Self::Stream(port) = self {
            port.drop_output();
        }
    }

    /// It took no more; to be asked again when poll says that it does.
    pub(crate) fn is_blocked(&self) -> bool {
        match self {
            Self::Stream(port) => port.blocked,
            Self::Tap { blocked, .. } => *blocked,
        }
    }

    pub(crate) fn unblock(&mut self) {
        match self {
            Self::Stream(port) => port.blocked = false,
            Self::Tap { blocked, .. } => *blocked = false,
        }
    }
}

impl AsFd for Uplink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(port) => port.as_fd(),
            Self::Tap { fd, .. } => fd.as_fd(),
        }
    }
}
