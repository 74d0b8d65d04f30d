//! The way to the clients: a tap, or a stream that speaks the VM's framing.

use crate::command::UplinkKind;
use crate::port::{Closed, Port};
use crate::tap::{Sent, Tap};
use colo_packet::{Frame, Offload, Train};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Parts of one frame: more than a train of Ethernet's usual frames has.
const PARTS: usize = 64;

pub(crate) enum Uplink {
    Tap {
        tap: Tap,
        /// The header of each frame is for the card, too.
        offloads: bool,
        blocked: bool,
    },
    Stream(Port),
}

impl Uplink {
    /// Takes a non-blocking descriptor.
    pub(crate) fn new(fd: OwnedFd, kind: UplinkKind, offloads: bool) -> Self {
        match kind {
            UplinkKind::Tap => Self::Tap {
                tap: Tap::new(fd),
                offloads,
                blocked: false,
            },
            UplinkKind::Stream => Self::Stream(Port::new(fd)),
        }
    }

    /// Reads a batch and hands over the frames; tells how many a card without offloads cannot be given.
    pub(crate) fn receive(&mut self, mut each: impl FnMut(&mut [u8])) -> Result<u64, Closed> {
        let mut unusable = 0;
        match self {
            Self::Stream(port) => port.receive(each)?,
            Self::Tap { tap, offloads, .. } => tap.receive(|bytes| {
                if *offloads {
                    return each(bytes);
                }
                match Offload::split(bytes).filter(|(offload, _)| offload.is_whole()) {
                    Some((_, frame)) => each(frame),
                    None => unusable += 1,
                }
            })?,
        };
        Ok(unusable)
    }

    /// Sends the first of these frames, to a tap with all that can be joined to it; or queues it for [`Uplink::flush`].
    /// Tells how many went.
    pub(crate) fn send<'a>(
        &mut self,
        mut frames: impl Iterator<Item = &'a Frame>,
    ) -> Result<(Sent, usize), Closed> {
        let Some(first) = frames.next() else {
            return Ok((Sent::Yes, 0));
        };
        match self {
            Self::Stream(port) if port.blocked => Ok((Sent::Blocked, 0)),
            Self::Stream(port) => {
                let sent = if port.push(first) {
                    Sent::Yes
                } else {
                    Sent::Blocked
                };
                Ok((sent, 1))
            }
            Self::Tap { tap, blocked, .. } => {
                let (sent, count) = send_joined(tap, first, frames)?;
                *blocked = sent == Sent::Blocked;
                Ok((sent, count))
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

/// Writes once.
fn send_joined<'a>(
    tap: &Tap,
    first: &'a Frame,
    frames: impl Iterator<Item = &'a Frame>,
) -> Result<(Sent, usize), Closed> {
    let mut parts = [IoSlice::new(&[]); PARTS];
    let mut count = 1;
    let train = Train::of(first).map(|mut train| {
        let mut payloads = parts.iter_mut().skip(1);
        payloads
            .next()
            .into_iter()
            .for_each(|part| *part = IoSlice::new(train.first(first)));
        // A frame is looked at only while there is a part left for it.
        for (part, frame) in payloads.zip(frames) {
            let Some(payload) = train.join(frame) else { break };
            *part = IoSlice::new(payload);
            count += 1;
        }
        train
    });
    let lead = train.filter(|_| count > 1).map(|train| train.lead());
    let Some(lead) = lead else {
        let header = first.offload.header();
        return Ok((tap.send(&[IoSlice::new(&header), IoSlice::new(first)])?, 1));
    };
    parts
        .first_mut()
        .into_iter()
        .for_each(|part| *part = IoSlice::new(&lead));
    Ok((tap.send(parts.get(..=count).unwrap_or_default())?, count))
}
