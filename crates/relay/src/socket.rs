//! The socket options and questions that the standard library does not know.

use crate::error::Error;
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_tcp_nodelay, set_tcp_user_timeout};
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Unsent bytes that the kernel may hold: what is behind them can still be overtaken (tcp(7)).
const NOTSENT_LOWAT: c_int = 128 * 1024;

/// Bytes that a VM's socket holds, with the kernel's bookkeeping: it doubles what is asked for (socket(7)), and takes
/// one write of at most half of that more.
pub(crate) const VM_SOCKET: usize = 208 << 10;

/// Bounds what may be on its way to a VM.
pub(crate) fn tune_vm(fd: &OwnedFd) -> Result<(), Error> {
    set_socket_send_buffer_size(fd, VM_SOCKET / 2).map_err(Error::os("SO_SNDBUF"))
}

/// Our own copy of a descriptor, non-blocking. The flag is shared with the caller's descriptor.
pub(crate) fn adopt(fd: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let own = fd.try_clone_to_owned().map_err(Error::os("dup"))?;
    ioctl_fionbio(&own, true).map_err(Error::os("FIONBIO"))?;
    Ok(own)
}

/// Makes a TCP socket fit for the link: nothing delayed, little unsent, an end to unacknowledged data.
pub(crate) fn tune_tcp(fd: &OwnedFd, user_timeout_ms: u32) -> Result<(), Error> {
    set_tcp_nodelay(fd, true).map_err(Error::os("TCP_NODELAY"))?;
    set_tcp_user_timeout(fd, user_timeout_ms).map_err(Error::os("TCP_USER_TIMEOUT"))?;
    let (value, length) = (NOTSENT_LOWAT, size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the option is an int, which lives through the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const value).cast(),
            length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(Error::os("TCP_NOTSENT_LOWAT")(std::io::Error::last_os_error()))
    }
}

/// Bytes sent that the other end has not read, with the kernel's bookkeeping: an upper bound, but 0 is exact (SIOCOUTQ,
/// unix(7)). A socket that cannot say is taken as read.
pub(crate) fn unread_by_peer(fd: impl AsFd) -> usize {
    let mut count: c_int = 0;
    // SAFETY: SIOCOUTQ stores one int in `count`, which lives through the call.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result == 0 {
        usize::try_from(count).unwrap_or(0)
    } else {
        0
    }
}

/// Whether a write to a tap failed only for this frame: the interface is down, or has no room for it.
pub(crate) fn is_frame_lost(error: Errno) -> bool {
    matches!(error, Errno::IO | Errno::INVAL | Errno::NOBUFS | Errno::NOMEM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_the_other_end_has_not_read_is_seen() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        assert_eq!(unread_by_peer(&one), 0);
        one.write_all(&[1; 1000]).unwrap();
        assert!(unread_by_peer(&one) > 0);
        other.read_exact(&mut [0; 999]).unwrap();
        assert!(unread_by_peer(&one) > 0);
        other.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(unread_by_peer(&one), 0);
    }
}
