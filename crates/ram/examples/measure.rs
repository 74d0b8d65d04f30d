//! Prints what tracking, staging and replicating cost here: `measure [MiB of RAM] [pages written per round]`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use colo_ram::{
    BulkSource, Encoder, GuestRam, Lz4, PAGE, PageSet, Replica, Staging, Tally, Tracker, TrackerKind,
    open_tracker, probe_trackers,
};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 20;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mib = arguments.next().transpose()?.unwrap_or(512);
    let written = arguments.next().transpose()?.unwrap_or(400);
    for probe in probe_trackers() {
        println!("{:<14} {:<5} {}", probe.kind.name(), probe.usable, probe.why);
    }
    let ram = guest_ram(mib)?;
    println!("{mib} MiB of RAM, {written} pages written per round, median of {ROUNDS}:");
    let mut tracker = own_tracker(&ram)?;
    let dirty = measure_tracker(&ram, &mut *tracker, written)?;
    measure_compare(&ram)?;
    measure_pipeline(&ram, &dirty)
}

fn guest_ram(mib: u64) -> Outcome<GuestRam> {
    let file = memfd_create("measure", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, mib << 20)?;
    let ram = GuestRam::new(file.as_fd(), mib << 20)?;
    for page in 0..ram.pages() {
        ram.write_page(page, &[page as u8 | 1; PAGE])?;
    }
    Ok(ram)
}

/// This process is the VM as well: its writes are seen, as are those of any process that handed over a userfaultfd.
fn own_tracker(ram: &GuestRam) -> Outcome<Box<dyn Tracker>> {
    // The device of userfaultfd(2) gives one without a shim, to root.
    let device = File::open("/dev/userfaultfd")?;
    // SAFETY: USERFAULTFD_IOC_NEW takes flags and returns a new descriptor or -1.
    let uffd = unsafe { libc::ioctl(device.as_raw_fd(), 0xAA00, libc::O_CLOEXEC | libc::O_NONBLOCK) };
    if uffd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: just created, owned by nobody else.
    let uffd = unsafe { std::os::fd::FromRawFd::from_raw_fd(uffd) };
    let pid = i32::try_from(std::process::id())?;
    Ok(open_tracker(TrackerKind::PagemapScan, pid, ram, Some(uffd))?)
}

/// Writes pages all over the RAM.
fn scatter(ram: &GuestRam, count: u64, round: u64) -> Outcome<()> {
    for nth in 0..count {
        let page = (nth + 1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(round * 7919)
            % ram.pages();
        ram.write_page(page, &[nth as u8 | 1; PAGE])?;
    }
    Ok(())
}

fn measure_tracker(ram: &GuestRam, tracker: &mut dyn Tracker, written: u64) -> Outcome<PageSet> {
    report("collect, nothing written", || Ok(()), || tracker.collect(true))?;
    let mut round = 0;
    let prepare = || {
        round += 1;
        scatter(ram, written, round)
    };
    let dirty = report("collect, pages all over", prepare, || tracker.collect(true))?;
    report("count, nothing written", || Ok(()), || tracker.count())?;
    let mut round = 0;
    let prepare = || {
        round += 1;
        scatter(ram, written, round)
    };
    report("count, more pages all over each time", prepare, || {
        tracker.count()
    })?;
    tracker.collect(true)?;
    let prepare = || (0..written).try_for_each(|page| Ok(ram.write_page(page, &[9; PAGE])?));
    report("collect, pages in a row", prepare, || tracker.collect(true))?;
    Ok(dirty)
}

fn measure_compare(ram: &GuestRam) -> Outcome<()> {
    let mut compare = open_tracker(TrackerKind::Compare, 0, ram, None)?;
    report("collect by comparing", || Ok(()), || compare.collect(true))?;
    Ok(())
}

fn measure_pipeline(ram: &GuestRam, dirty: &PageSet) -> Outcome<()> {
    let mut staging = Staging::new(ram, ram.size())?;
    report("gather the pages", || Ok(()), || staging.gather(dirty))?;
    report(
        "gather all of RAM",
        || Ok(()),
        || staging.gather(&PageSet::all(ram.pages())),
    )?;

    let replica = Replica::new(&guest_ram(ram.size() >> 20)?, ram.size() * 2)?;
    let (mut number, encoder) = (0, Encoder::new(ram, false)?);
    let device = vec![7; 700 * 1024];
    for (name, pages) in [
        ("all of RAM", PageSet::all(ram.pages())),
        ("the pages", dirty.clone()),
    ] {
        staging.clear()?;
        staging.gather(&pages)?;
        let (began, mut payload) = (Instant::now(), Vec::new());
        number += 1;
        let mut source = staging.source(number, device.clone(), &encoder, Lz4::Never);
        let mut receiving = Duration::ZERO;
        while let Some(kind) = source.next(&mut payload, &mut Tally::default()) {
            let arrived = Instant::now();
            replica.receive(kind, &payload)?;
            receiving += arrived.elapsed();
            payload.clear();
        }
        let sending = began.elapsed().saturating_sub(receiving);
        let began = Instant::now();
        replica.apply(number, &PageSet::new(ram.pages()))?;
        println!(
            "  {name}: encode {sending:.2?}, receive {receiving:.2?}, apply {:.2?}",
            began.elapsed()
        );
    }
    report("hash of all RAM", || Ok(()), || ram.hash())?;
    Ok(())
}

/// Runs it some times; the last result.
fn report<T>(
    what: &str,
    mut prepare: impl FnMut() -> Outcome<()>,
    mut run: impl FnMut() -> colo_ram::Result<T>,
) -> Outcome<T> {
    let mut times = Vec::new();
    loop {
        prepare()?;
        let began = Instant::now();
        let result = run()?;
        times.push(began.elapsed());
        if times.len() == ROUNDS {
            times.sort_unstable();
            let (median, worst) = (times.get(ROUNDS / 2), times.last());
            println!(
                "  {what}: {:.3?} (worst {:.3?})",
                median.unwrap_or(&Duration::ZERO),
                worst.unwrap_or(&Duration::ZERO)
            );
            return Ok(result);
        }
    }
}
