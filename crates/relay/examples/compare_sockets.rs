//! The comparison between three unix stream sockets, as QEMU's `colo-compare` object stands between three character
//! devices. `python -m bench.compare` feeds both the same:
//! `cargo run --release -p colo-relay --example compare_sockets PRIMARY SECONDARY OUT` (paths to connect to).
//! Ends when a peer closes.
#![allow(clippy::unwrap_used, reason = "a measurement, not a program")]

use colo_compare::{Compare, Limits};
use colo_relay::boottime_ns;
use colo_relay::testing::{Closed, Port, Shelf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::unix::net::UnixStream;

/// Reads of one side before the other's turn.
const READS: usize = 4;

struct Node {
    compare: Compare,
    primary: Port,
    secondary: Port,
    out: Port,
    shelf: Shelf,
}

fn main() {
    let mut ports = std::env::args().skip(1).map(|path| {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_nonblocking(true).unwrap();
        Port::new(stream.into())
    });
    let mut next = || ports.next().unwrap();
    let mut node = Node {
        compare: Compare::new(Limits {
            hold_ns: 3_000_000_000,
            held_bytes: 64 << 20,
            flows: 100_000,
            pending_bytes: 1 << 20,
        }),
        primary: next(),
        secondary: next(),
        out: next(),
        shelf: Shelf::default(),
    };
    while node.turn().is_ok() {}
}

impl Node {
    /// Waits, and does all there is to do.
    fn turn(&mut self) -> Result<(), Closed> {
        let [primary, secondary, out] = self.wait();
        self.out.blocked &= !out;
        for _ in 0..READS {
            let now = boottime_ns();
            // The secondary's first: a frame of the primary whose twin is there goes on while it is in the cache.
            let mut more = secondary && self.hear_secondary(now)?;
            more |= primary && self.hear_primary(now)?;
            self.send()?;
            if !more {
                break;
            }
        }
        self.compare.on_time(boottime_ns());
        Ok(())
    }

    fn hear_secondary(&mut self, now: u64) -> Result<bool, Closed> {
        if !self.out.has_room() {
            return Ok(false);
        }
        let compare = &mut self.compare;
        self.secondary
            .receive(|frame| compare.secondary(0, 1, frame, now))
    }

    fn hear_primary(&mut self, now: u64) -> Result<bool, Closed> {
        if !self.may_read_primary() {
            return Ok(false);
        }
        let (compare, shelf, out) = (&mut self.compare, &mut self.shelf, &mut self.out);
        self.primary.receive(|frame| {
            compare.primary(0, shelf.copy(frame), now);
            queue(compare, shelf, out);
        })
    }

    fn may_read_primary(&self) -> bool {
        self.out.has_room() && !self.compare.full()
    }

    fn send(&mut self) -> Result<(), Closed> {
        while self.compare.pop_event().is_some() {}
        queue(&mut self.compare, &mut self.shelf, &mut self.out);
        self.out.flush(|_| ())
    }

    /// Which of the three is ready.
    fn wait(&self) -> [bool; 3] {
        let wanted = |flag: PollFlags, wanted: bool| if wanted { flag } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(&self.primary, wanted(PollFlags::IN, self.may_read_primary())),
            PollFd::new(&self.secondary, wanted(PollFlags::IN, self.out.has_room())),
            PollFd::new(&self.out, wanted(PollFlags::OUT, self.out.blocked)),
        ];
        let left = self
            .compare
            .next_deadline()
            .map(|deadline| deadline.saturating_sub(boottime_ns()));
        let timeout = left.map(|ns| Timespec {
            tv_sec: (ns / 1_000_000_000).cast_signed(),
            tv_nsec: (ns % 1_000_000_000).cast_signed(),
        });
        poll(&mut fds, timeout.as_ref()).unwrap();
        fds.map(|fd| !fd.revents().is_empty())
    }
}

/// What was released goes on, as far as there is room.
fn queue(compare: &mut Compare, shelf: &mut Shelf, out: &mut Port) {
    while out.has_room() {
        let Some((_, frame)) = compare.pop_release() else {
            break;
        };
        out.push(&frame);
        shelf.put_back(frame.bytes);
    }
}
