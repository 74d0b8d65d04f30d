//! The tracker on a real QEMU, whose firmware writes RAM while it boots.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy knows only functions marked as tests"
)]

mod common;

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use colo_ram::{GuestRam, PAGE, Tracker, TrackerKind, open_tracker};
use common::{Follower, Scratch, accept, shim, untouched_ram_file};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

const MIB: u64 = 64;

struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Qemu {
    /// Stands still when this returns.
    fn halt(&self) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
    }

    fn resume(&self) {
        kill_process(Pid::from_child(&self.0), Signal::CONT).unwrap();
    }
}

/// `None` where QEMU or userfaultfd is missing.
fn boot() -> Option<(Qemu, GuestRam, Box<dyn Tracker>)> {
    let (path, file) = untouched_ram_file(MIB * 256);
    let socket = Scratch::new(".sock");
    let listener = UnixListener::bind(&*socket).unwrap();
    let backend = format!(
        "memory-backend-file,id=ram,size={MIB}M,share=on,mem-path={}",
        path.display()
    );
    let machine = [
        "-machine",
        "q35,memory-backend=ram",
        "-accel",
        "tcg",
        "-nodefaults",
        "-display",
        "none",
    ];
    let program = std::env::var_os("COLO_QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
    let child = Command::new(&program)
        .args(machine)
        .args(["-m", &format!("{MIB}M"), "-object", &backend])
        .env("LD_PRELOAD", shim())
        .env("COLO_UFFD_SOCK", &socket)
        .stdin(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        eprintln!("left out: there is no {program:?} (COLO_QEMU names another)");
        return None;
    };
    let qemu = Qemu(child);
    let handed = accept(&listener);
    let ram = GuestRam::new(file.as_fd(), MIB << 20).unwrap();
    let uffd = handed?.uffd;
    let tracker = once_mapped(&qemu, &ram, uffd);
    Some((qemu, ram, tracker))
}

/// The agent waits for QMP instead.
fn once_mapped(qemu: &Qemu, ram: &GuestRam, uffd: std::os::fd::OwnedFd) -> Box<dyn Tracker> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let again = Some(uffd.try_clone().unwrap());
        match open_tracker(TrackerKind::PagemapScan, qemu.0.id() as i32, ram, again) {
            Ok(tracker) => return tracker,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_copy_of_the_ram_of_a_booting_qemu_is_exact_whenever_it_stands_still() {
    let Some((qemu, ram, mut tracker)) = boot() else {
        return;
    };
    let mut follower = Follower::new(&ram);
    let mut written = 0;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(60));
        let live = tracker.collect(false).unwrap();
        follower.follow(&ram, &live);
        qemu.halt();
        let rest = tracker.collect(true).unwrap();
        follower.follow(&ram, &rest);
        assert_eq!(follower.differing(&ram), Vec::<u64>::new());
        written += live.len() + rest.len();
        qemu.resume();
    }
    assert!(
        written > 0 && written < MIB * 256 * 10,
        "{written} pages of {PAGE} bytes"
    );
}
