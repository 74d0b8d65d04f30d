//! Tries the trackers of the kernel that it runs on, and soft-dirty against another process that writes all the time:
//! a copy that follows the tracker must be exact whenever the writer stands still.
//!
//! Made for kernels that have soft-dirty bits and no PAGEMAP_SCAN: tests/core/test_soft_dirty.py boots one.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use colo_ram::{GuestRam, PAGE, PageSet, TrackerKind, open_tracker, probe_trackers};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

const PAGES: u64 = 2048;
const ROUNDS: u8 = 10;
const COLLECTIONS: usize = 5;
const WRITER: &str = "writer";
/// The page by which the writer is told to stand still; it does not write it.
const CONTROL: u64 = 0;
const GO: u8 = 1;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    if std::env::args().nth(1).as_deref() == Some(WRITER) {
        return write_for_ever();
    }
    for probe in probe_trackers() {
        let verdict = if probe.usable { "usable" } else { "not usable" };
        println!("{}: {verdict}: {}", probe.kind.name(), probe.why);
    }
    let (reported, missed) = follow()?;
    println!("followed: {reported} pages reported, {missed} missed");
    if reported == 0 || missed > 0 {
        return Err("the tracker did not see what was written".into());
    }
    println!("passed");
    io::stdout().flush()?;
    Ok(())
}

/// In the other process, whose standard input is the memory. It stands still while the first page does not say [`GO`],
/// and says so with a line, each time that page says something new.
fn write_for_ever() -> Outcome<()> {
    let ram = GuestRam::new(io::stdin().as_fd(), PAGES * PAGE as u64)?;
    println!("mapped");
    let mut seed = 1_u64;
    loop {
        // Knuth's linear congruential generator (MMIX).
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ram.write_page(1 + (seed >> 33) % (PAGES - 1), &[(seed >> 56) as u8; PAGE])?;
        let told = control(&ram)?;
        if told != GO {
            println!("still");
            while control(&ram)? == told {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// One byte: the rest of the page may be half written.
fn control(ram: &GuestRam) -> Outcome<u8> {
    let mut page = [0; PAGE];
    ram.read_page(CONTROL, &mut page)?;
    let [byte, ..] = page;
    Ok(byte)
}

/// Ends with this.
struct Writer(Child, BufReader<ChildStdout>);

impl Writer {
    fn start(memory: OwnedFd) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(WRITER)
            .stdin(Stdio::from(memory))
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        Ok(Self(child, BufReader::new(stdout)))
    }

    /// Waits for a line.
    fn says(&mut self, expected: &str) -> Outcome<()> {
        let mut line = String::new();
        self.1.read_line(&mut line)?;
        if line.trim_end() == expected {
            return Ok(());
        }
        Err(format!("the writer said {line:?} and not {expected:?}").into())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It may have died already; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Pages that the tracker reported, and pages that differ though it did not.
fn follow() -> Outcome<(u64, u64)> {
    let file = memfd_create("soft-dirty", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, PAGES * PAGE as u64)?;
    let ram = GuestRam::new(file.as_fd(), PAGES * PAGE as u64)?;
    (0..PAGES).try_for_each(|page| ram.write_page(page, &[1; PAGE]))?;
    let mut writer = Writer::start(file)?;
    // Not before: while it is being started, /proc/PID may still show the memory of this process.
    writer.says("mapped")?;
    let mut tracker = open_tracker(TrackerKind::SoftDirty, i32::try_from(writer.0.id())?, &ram, None)?;
    let mut copy = vec![[0; PAGE]; usize::try_from(PAGES)?];
    take(&ram, &PageSet::all(PAGES), &mut copy)?;
    let (mut reported, mut missed) = (0, 0);
    for round in 0..ROUNDS {
        for _ in 0..COLLECTIONS {
            let found = tracker.collect(false)?;
            reported += found.len();
            take(&ram, &found, &mut copy)?;
        }
        ram.write_page(CONTROL, &[2 + round; PAGE])?;
        writer.says("still")?;
        let rest = tracker.collect(true)?;
        reported += rest.len();
        take(&ram, &rest, &mut copy)?;
        missed += differing(&ram, &copy)?;
        ram.write_page(CONTROL, &[GO; PAGE])?;
    }
    Ok((reported, missed))
}

fn take(ram: &GuestRam, pages: &PageSet, copy: &mut [[u8; PAGE]]) -> Outcome<()> {
    for page in pages.runs().flatten() {
        let place = copy
            .get_mut(usize::try_from(page)?)
            .ok_or("a page beyond the end")?;
        ram.read_page(page, place)?;
    }
    Ok(())
}

fn differing(ram: &GuestRam, copy: &[[u8; PAGE]]) -> Outcome<u64> {
    let mut now = [0; PAGE];
    let mut count = 0;
    for (page, before) in (0..).zip(copy).filter(|(page, _)| *page != CONTROL) {
        ram.read_page(page, &mut now)?;
        count += u64::from(now != *before);
    }
    Ok(count)
}
