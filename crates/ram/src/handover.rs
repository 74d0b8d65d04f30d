//! Receives the userfaultfd that the shim inside the VM's process created (`crates/python/shim/uffd_shim.c`).
//!
//! One message: an errno as native-endian i32, and, when that is 0, one descriptor (SCM_RIGHTS).

use std::fs::read_link;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::error::{Error, Result};

/// A userfaultfd, and the process that sent it according to the kernel (SO_PEERCRED). Whether that is the right
/// process is for the caller to check.
#[derive(Debug)]
pub struct HandedOver {
    /// Acts on the address space of the process that created it.
    pub uffd: OwnedFd,
    /// Process id of the sender.
    pub pid: i32,
}

/// Waits for the shim's message on an accepted connection.
///
/// # Errors
/// [`Error::Shim`] when the shim reports that it could not, [`Error::Handover`] for silence until the deadline and
/// for anything that is not its message, [`Error::Io`].
pub fn receive_uffd(stream: &UnixStream, deadline: Instant) -> Result<HandedOver> {
    let pid = socket_peercred(stream)
        .map_err(Error::io("SO_PEERCRED"))?
        .pid
        .as_raw_nonzero()
        .get();
    wait(stream, deadline)?;
    let (errno, uffd) = receive(stream)?;
    match (errno, uffd) {
        (0, Some(uffd)) if is_userfaultfd(&uffd) => Ok(HandedOver { uffd, pid }),
        (0, Some(_)) => Err(Error::Handover("the descriptor is not a userfaultfd")),
        (0, None) => Err(Error::Handover("no descriptor came")),
        (errno, _) => Err(Error::Shim(io::Error::from_raw_os_error(errno))),
    }
}

fn wait(stream: &UnixStream, deadline: Instant) -> Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| Error::Handover("deadline too far away"))?;
        match poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(Error::Handover("nothing came before the deadline")),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("poll")(errno)),
        }
    }
}

/// The shim sends its message whole, in one call on an empty socket: a part of it is not the shim's.
fn receive(stream: &UnixStream) -> Result<(i32, Option<OwnedFd>)> {
    let mut errno = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(
        stream.as_fd(),
        &mut [IoSliceMut::new(&mut errno)],
        &mut control,
        flags,
    )
    .map_err(Error::io("recvmsg"))?;
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match message.bytes {
        4 => Ok((i32::from_ne_bytes(errno), rights)),
        0 => Err(Error::Handover("the connection was closed without a message")),
        _ => Err(Error::Handover("the message is cut")),
    }
}

/// ioctls on something else that a stranger sent could do anything.
fn is_userfaultfd(descriptor: &OwnedFd) -> bool {
    read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
        .is_ok_and(|target| target.as_os_str() == "anon_inode:[userfaultfd]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::{IoSlice, Write};
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[test]
    fn silence_ends_at_the_deadline_and_closing_at_once() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(receive_uffd(&ours, soon()).is_err());
        drop(theirs);
        assert!(matches!(receive_uffd(&ours, soon()), Err(Error::Handover(_))));
    }

    #[test]
    fn what_the_shim_could_not_do_is_told() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&libc::EPERM.to_ne_bytes()).unwrap();
        let Err(Error::Shim(error)) = receive_uffd(&ours, soon()) else {
            panic!()
        };
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn strange_messages_and_descriptors_are_refused() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[0, 0]).unwrap();
        assert!(matches!(
            receive_uffd(&ours, soon()),
            Err(Error::Handover("the message is cut"))
        ));
        theirs.write_all(&[0; 4]).unwrap();
        assert!(matches!(
            receive_uffd(&ours, soon()),
            Err(Error::Handover("no descriptor came"))
        ));
        let descriptors = [ours.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(
            &theirs,
            &[IoSlice::new(&[0; 4])],
            &mut control,
            SendFlags::empty(),
        )
        .unwrap();
        let refused = receive_uffd(&ours, soon());
        assert!(
            matches!(
                refused,
                Err(Error::Handover("the descriptor is not a userfaultfd"))
            ),
            "{refused:?}"
        );
    }
}
