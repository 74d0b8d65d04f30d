//! Where a VM's network card is plugged in.

use crate::port::{Closed, Port};
use crate::vm_tap::VmTap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) enum VmPort {
    Stream(Port),
    Tap(VmTap),
}

impl VmPort {
    pub(crate) fn stream(fd: OwnedFd) -> Self {
        Self::Stream(Port::of_vm(fd))
    }

    pub(crate) fn tap(far: OwnedFd, near: OwnedFd) -> Self {
        Self::Tap(VmTap::new(far, near))
    }

    /// Reads once and hands over the frames; false when there was nothing.
    pub(crate) fn receive(&mut self, each: impl FnMut(&mut [u8])) -> Result<bool, Closed> {
        match self {
            Self::Stream(port) => port.receive(each),
            Self::Tap(tap) => tap.receive(each),
        }
    }

    /// Queues a frame; false when there is no room and it was dropped.
    pub(crate) fn push(&mut self, frame: &[u8]) -> bool {
        match self {
            Self::Stream(port) => port.push(frame),
            Self::Tap(tap) => tap.push(frame),
        }
    }

    /// Gives the VM what waits, as far as it takes it, and hands over those frames; tells how many were lost.
    pub(crate) fn flush(&mut self, each: impl FnMut(&[u8])) -> Result<u64, Closed> {
        match self {
            Self::Stream(port) => port.flush(each).map(|()| 0),
            Self::Tap(tap) => tap.flush(each),
        }
    }

    /// As [`VmPort::flush`], but begins no frame.
    pub(crate) fn finish(&mut self) -> Result<(), Closed> {
        match self {
            Self::Stream(port) => port.finish(),
            Self::Tap(_) => Ok(()),
        }
    }

    /// Begins the next frame that waits, if any, for [`VmPort::finish`].
    pub(crate) fn begin_one(&mut self) -> Option<&[u8]> {
        match self {
            Self::Stream(port) => port.begin_one(),
            Self::Tap(tap) => tap.begin_one(),
        }
    }

    /// Bytes of frames begun that the VM has not read, at most.
    pub(crate) fn unread(&mut self) -> usize {
        match self {
            Self::Stream(port) => port.unread(),
            Self::Tap(tap) => tap.unread(),
        }
    }

    /// Remembers what is not read yet, for [`VmPort::doubtful`].
    pub(crate) fn note_unread(&mut self) {
        match self {
            Self::Stream(port) => port.note_unread(),
            Self::Tap(tap) => tap.note_unread(),
        }
    }

    /// The frames that were not known to be read at the last [`VmPort::note_unread`], or are not now.
    pub(crate) fn doubtful(&self, each: impl FnMut(&[u8])) {
        match self {
            Self::Stream(port) => port.doubtful().for_each(each),
            Self::Tap(tap) => tap.doubtful().for_each(each),
        }
    }

    /// Nothing is in doubt any more but what is not read.
    pub(crate) fn forget_doubts(&mut self) {
        match self {
            Self::Stream(port) => port.forget_doubts(),
            Self::Tap(tap) => tap.forget_doubts(),
        }
    }

    /// Drops what waits, and of what the VM has not read all that can be taken back.
    pub(crate) fn drop_output(&mut self) {
        match self {
            Self::Stream(port) => port.drop_output(),
            Self::Tap(tap) => tap.drop_output(),
        }
    }

    /// It took no more; poll says when it does.
    pub(crate) fn is_blocked(&self) -> bool {
        match self {
            Self::Stream(port) => port.blocked,
            Self::Tap(_) => false,
        }
    }

    pub(crate) fn unblock(&mut self) {
        if let Self::Stream(port) = self {
            port.blocked = false;
        }
    }

    /// It took no more, and nothing says when it does.
    pub(crate) fn must_ask(&self) -> bool {
        match self {
            Self::Stream(_) => false,
            Self::Tap(tap) => tap.must_ask(),
        }
    }
}

impl AsFd for VmPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(port) => port.as_fd(),
            Self::Tap(tap) => tap.as_fd(),
        }
    }
}
