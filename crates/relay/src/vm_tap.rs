//! A VM at one end of a cable of two taps, the relay at the other (docs/decisions/0020-the-nic.md).
//!
//! What is written here lies in the queue of the VM's tap until QEMU reads it. That queue tells no length, only
//! whether it is empty, and drops what it has no room for: so no more is sent than it surely holds, and all that was
//! sent since it was last empty counts as unread.

use crate::port::{Closed, OUTPUT_LIMIT};
use crate::tap::{Sent, Tap};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Frames and bytes that may be unread; the kernel's queue holds 1000 frames (`txqueuelen`).
const WINDOW: usize = 512;
const WINDOW_BYTES: usize = 1 << 20;

pub(crate) struct VmTap {
    far: Tap,
    /// The VM's end.
    near: Tap,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    unread: Vec<Vec<u8>>,
    unread_bytes: usize,
    /// What is in `unread` stays there, though it may have been read meanwhile.
    doubted: bool,
}

impl VmTap {
    pub(crate) fn new(far: OwnedFd, near: OwnedFd) -> Self {
        Self {
            far: Tap::new(far),
            near: Tap::new(near),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            unread: Vec::new(),
            unread_bytes: 0,
            doubted: false,
        }
    }

    pub(crate) fn receive(&mut self, each: impl FnMut(&mut [u8])) -> Result<bool, Closed> {
        self.far.receive(each)
    }

    pub(crate) fn push(&mut self, frame: &[u8]) -> bool {
        let room = self.waiting_bytes < OUTPUT_LIMIT;
        if room {
            self.waiting_bytes += frame.len();
            self.waiting.push_back(frame.to_vec());
        }
        room
    }

    /// Sends what waits, as far as the window is open; gives the frames that the kernel refused.
    pub(crate) fn flush(&mut self, mut each: impl FnMut(&[u8])) -> Result<u64, Closed> {
        let mut lost = 0;
        self.look();
        while self.unread.len() < WINDOW && self.unread_bytes < WINDOW_BYTES {
            match self.send_one()? {
                Some(Sent::Yes) => self.unread.last().into_iter().for_each(|frame| each(frame)),
                Some(Sent::Lost) => lost += 1,
                Some(Sent::Blocked) | None => break,
            }
        }
        Ok(lost)
    }

    /// Sends one frame more, whatever the window.
    pub(crate) fn begin_one(&mut self) -> Option<&[u8]> {
        // A device that fails is noticed by the next flush.
        match self.send_one() {
            Ok(Some(Sent::Yes)) => self.unread.last().map(Vec::as_slice),
            _ => None,
        }
    }

    fn send_one(&mut self) -> Result<Option<Sent>, Closed> {
        let Some(frame) = self.waiting.front() else {
            return Ok(None);
        };
        let sent = self.far.send(&[IoSlice::new(frame)])?;
        if sent != Sent::Blocked
            && let Some(frame) = self.waiting.pop_front()
        {
            self.waiting_bytes -= frame.len();
            if sent == Sent::Yes {
                self.unread_bytes += frame.len();
                self.unread.push(frame);
            }
        }
        Ok(Some(sent))
    }

    /// Frames wait for the VM to read, which nothing tells.
    pub(crate) fn must_ask(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes sent that the VM may not have read; 0 is exact.
    pub(crate) fn unread(&mut self) -> usize {
        self.look();
        self.unread_bytes
    }

    pub(crate) fn note_unread(&mut self) {
        self.look();
        self.doubted = !self.unread.is_empty();
    }

    pub(crate) fn doubtful(&self) -> impl Iterator<Item = &[u8]> {
        self.unread.iter().map(Vec::as_slice)
    }

    pub(crate) fn forget_doubts(&mut self) {
        self.doubted = false;
    }

    /// Drops what waits, and what the VM, which is stopped, has not read.
    pub(crate) fn drop_output(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        // As many as can be there, and the end of the device is noticed where it is read from.
        for _ in 0..WINDOW {
            if !self.near.receive(|_| ()).unwrap_or(false) {
                break;
            }
        }
        self.doubted = false;
        self.look();
    }

    fn look(&mut self) {
        if !self.doubted && !self.unread.is_empty() && is_empty(&self.near) {
            self.unread.clear();
            self.unread_bytes = 0;
        }
    }
}

impl AsFd for VmTap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.far.as_fd()
    }
}

/// Nothing is there to be read (tun's poll: its queue is empty). What cannot be asked is taken as read.
fn is_empty(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let asked = poll(&mut fds, Some(&Timespec::default()));
    asked.is_err() || fds.iter().all(|fd| !fd.revents().contains(PollFlags::IN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{ioctl_fionbio, read, write};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    /// Sockets that keep frames apart stand for the taps: the relay's end and the VM's.
    fn cable() -> (VmTap, OwnedFd) {
        let kind = SocketType::SEQPACKET;
        let (far, vm) = socketpair(AddressFamily::UNIX, kind, SocketFlags::NONBLOCK, None).unwrap();
        ioctl_fionbio(&vm, true).unwrap();
        (VmTap::new(far, vm.try_clone().unwrap()), vm)
    }

    fn flush(tap: &mut VmTap) -> usize {
        let mut sent = 0;
        tap.flush(|_| sent += 1).unwrap();
        sent
    }

    fn read_all(vm: &OwnedFd) -> usize {
        (0..).take_while(|_| read(vm, &mut [0; 2000]).is_ok()).count()
    }

    #[test]
    fn what_is_sent_counts_as_unread_until_all_was_read() {
        let (mut tap, vm) = cable();
        tap.push(b"one");
        tap.push(b"two");
        assert_eq!(flush(&mut tap), 2);
        assert_eq!(tap.unread(), 6);
        read(&vm, &mut [0; 10]).unwrap();
        assert_eq!(tap.unread(), 6, "which of them was read nobody tells");
        read(&vm, &mut [0; 10]).unwrap();
        assert_eq!(tap.unread(), 0);
    }

    #[test]
    fn no_more_is_sent_than_the_queue_surely_holds() {
        let (mut tap, vm) = cable();
        (0..WINDOW_BYTES / 1000 + 10).for_each(|_| assert!(tap.push(&[0; 1000])));
        let first = flush(&mut tap);
        assert!(first <= WINDOW);
        assert!(tap.must_ask());
        assert_eq!(flush(&mut tap), 0);
        assert_eq!(read_all(&vm), first);
        assert!(flush(&mut tap) > 0);
    }

    #[test]
    fn at_its_limit_a_frame_is_refused() {
        let (mut tap, _vm) = cable();
        assert_eq!((0..200).filter(|_| tap.push(&[0; 65_536])).count(), 128);
    }

    #[test]
    fn what_was_unread_at_the_pause_stays_doubtful_though_it_is_read_later() {
        let (mut tap, vm) = cable();
        tap.push(b"doubtful");
        flush(&mut tap);
        tap.note_unread();
        assert_eq!(read_all(&vm), 1);
        assert_eq!(tap.doubtful().collect::<Vec<_>>(), [b"doubtful"]);
        tap.forget_doubts();
        assert_eq!(tap.unread(), 0);
        assert_eq!(tap.doubtful().count(), 0);
    }

    #[test]
    fn what_a_stopped_vm_has_not_read_is_taken_back() {
        let (mut tap, vm) = cable();
        for number in 0..100_u8 {
            tap.push(&[number]);
        }
        flush(&mut tap);
        tap.push(b"waits");
        tap.drop_output();
        assert_eq!(read_all(&vm), 0);
        assert_eq!((tap.unread(), flush(&mut tap)), (0, 0));
    }

    #[test]
    fn a_batch_of_reads_is_bounded_and_the_end_is_told() {
        let (mut tap, vm) = cable();
        assert!(!tap.receive(|_| ()).unwrap());
        write(&vm, b"frame").unwrap();
        let mut seen = Vec::new();
        assert!(tap.receive(|frame| seen.push(frame.to_vec())).unwrap());
        assert_eq!(seen, [b"frame"]);
    }
}
