//! The way to the clients: a tap, or a stream that speaks the VM's framing.

use crate::command::UplinkKind;
use crate::port::{Closed, Port};
use crate::tap::{Sent, Tap};
use colo_packet::Frame;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) enum Uplink {
    Tap {
        tap: Tap,
        /// Each frame has virtio's header before it.
        offloads: bool,
        blocked: bool,
    },
    Stream(Port),
}

impl Uplink {
    /// Takes a non-blocking descriptor.
    pub(crate) fn new(fd: OwnedFd, kind: UplinkKind) -> Self {
        match kind {
            UplinkKind::Tap | UplinkKind::OffloadTap => Self::Tap {
                tap: Tap::new(fd),
                offloads: kind == UplinkKind::OffloadTap,
                blocked: false,
            },
            UplinkKind::Stream => Self::Stream(Port::new(fd)),
        }
    }

    /// Reads a batch and hands over the frames.
    pub(crate) fn receive(&mut self, each: impl FnMut(&mut [u8])) -> Result<(), Closed> {
        match self {
            Self::Stream(port) => port.receive(each).map(|_| ()),
            Self::Tap { tap, .. } => tap.receive(each).map(|_| ()),
        }
    }

    /// Sends one frame, or queues it for [`Uplink::flush`].
    pub(crate) fn send(&mut self, frame: &Frame) -> Result<Sent, Closed> {
        match self {
            Self::Stream(port) if port.blocked => Ok(Sent::Blocked),
            Self::Stream(port) => Ok(if port.push(frame) {
                Sent::Yes
            } else {
                Sent::Blocked
            }),
            Self::Tap {
                tap,
                offloads,
                blocked,
            } => {
                let header = frame.offload.header();
                let sent = tap.send(if *offloads { &header } else { &[] }, frame)?;
                *blocked = sent == Sent::Blocked;
                Ok(sent)
            }
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
            Self::Tap { tap, .. } => tap.as_fd(),
        }
    }
}
