//! Halts a process for the moment that a collection in two steps takes.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Error, Result};

/// All threads must have stopped by then.
const DEADLINE: Duration = Duration::from_millis(200);
/// No event tells that a process which is not our child has stopped.
const POLL: Duration = Duration::from_micros(100);

/// A process that can be halted; names it beyond the reuse of its number.
pub(crate) struct Freezer {
    pid: i32,
    pidfd: OwnedFd,
}

/// Runs on when this is dropped.
pub(crate) struct Frozen<'a>(&'a Freezer);

impl Freezer {
    pub(crate) fn new(pid: i32) -> Result<Self> {
        let target = Pid::from_raw(pid).ok_or(Error::Layout {
            pid,
            why: "no such process".into(),
        })?;
        let pidfd = pidfd_open(target, PidfdFlags::empty()).map_err(Error::io("pidfd_open"))?;
        Ok(Self { pid, pidfd })
    }

    /// SIGSTOP, and waits until every thread has obeyed: then no instruction of it writes memory.
    pub(crate) fn freeze(&self) -> Result<Frozen<'_>> {
        let deadline = Instant::now() + DEADLINE;
        pidfd_send_signal(&self.pidfd, Signal::STOP).map_err(Error::io("SIGSTOP"))?;
        let frozen = Frozen(self);
        while !self.is_stopped()? {
            if Instant::now() > deadline {
                return Err(Error::Tracker {
                    kind: "soft-dirty",
                    why: "the VM's process does not halt",
                });
            }
            sleep(POLL);
        }
        Ok(frozen)
    }

    fn is_stopped(&self) -> Result<bool> {
        let what = "/proc/PID/task";
        for task in fs::read_dir(format!("/proc/{}/task", self.pid)).map_err(Error::io(what))? {
            let stat = task.map_err(Error::io(what))?.path().join("stat");
            // A thread that ended meanwhile writes nothing.
            let Ok(stat) = fs::read(stat) else { continue };
            if !halted(&stat) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The state follows the name, which is in parentheses and may contain any byte (proc_pid_stat(5)).
fn halted(stat: &[u8]) -> bool {
    let state = stat
        .rsplit(|byte| *byte == b')')
        .next()
        .and_then(|rest| rest.get(1));
    matches!(state, Some(b'T' | b't' | b'Z' | b'X'))
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Fails only if the process is gone.
        let _ = pidfd_send_signal(&self.0.pidfd, Signal::CONT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert!(halted(b"12 (a) b) T 1 2"));
        assert!(!halted(b"12 (T) R 1 2"));
        assert!(!halted(b"") && !halted(b")") && !halted(b"no parenthesis"));
    }

    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_process_stands_still_and_goes_on() {
        let child = Killed(
            Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn()
                .unwrap(),
        );
        let freezer = Freezer::new(child.0.id() as i32).unwrap();
        let ticks = || fs::read(format!("/proc/{}/schedstat", child.0.id())).unwrap();
        let frozen = freezer.freeze().unwrap();
        let before = ticks();
        sleep(Duration::from_millis(20));
        assert_eq!(ticks(), before);
        drop(frozen);
        let deadline = Instant::now() + Duration::from_secs(5);
        while ticks() == before {
            assert!(Instant::now() < deadline, "it does not go on");
            sleep(POLL);
        }
    }
}
