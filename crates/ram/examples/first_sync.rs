//! Prints what the first copy of a VM's RAM costs the secondary: `first_sync [MiB of RAM]`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use colo_ram::{BulkSource, Encoder, GuestRam, LivePages, Lz4, PAGE, PageSet, Replica, Staging, Tally};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let argument = std::env::args().nth(1).map(|argument| argument.parse::<u64>());
    let mib = argument.transpose()?.unwrap_or(256);
    for (name, every) in [("one page of 32 in use", 32), ("all pages in use", 1)] {
        println!("{mib} MiB of RAM, {name}:");
        first_sync(mib, every)?;
    }
    Ok(())
}

/// All of it has been touched; one page of `every` is not zero.
fn guest_ram(mib: u64, every: u64) -> Outcome<GuestRam> {
    let file = memfd_create("first-sync", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, mib << 20)?;
    let ram = GuestRam::new(file.as_fd(), mib << 20)?;
    for page in 0..ram.pages() {
        let used = page % every == every - 1;
        ram.write_page(page, &[if used { page as u8 | 1 } else { 0 }; PAGE])?;
    }
    Ok(ram)
}

fn first_sync(mib: u64, every: u64) -> Outcome<()> {
    let (pvm, svm) = (guest_ram(mib, every)?, guest_ram(mib, u64::MAX)?);
    let own = resident()?;
    let began = Instant::now();
    let replica = Replica::new(&svm, 64 << 20)?;
    println!("  new: {:.2?}", began.elapsed());

    let encoder = Encoder::new(&pvm, false)?;
    let mut source = LivePages::new(pvm.clone(), &PageSet::all(pvm.pages()), &encoder, Lz4::Never);
    receive_all(&replica, &mut source)?;
    let mut staging = Staging::new(&pvm, 1 << 20)?;
    for (number, dirty) in [(1, PageSet::all(pvm.pages())), (2, PageSet::new(pvm.pages()))] {
        staging.gather(&PageSet::new(pvm.pages()))?;
        receive_all(
            &replica,
            &mut staging.source(number, vec![7; 700 * 1024], &encoder, Lz4::Never),
        )?;
        let began = Instant::now();
        let pages = replica.apply(number, &dirty)?;
        println!("  apply, {pages} pages: {:.2?}", began.elapsed());
    }
    let began = Instant::now();
    let equal = replica.cache_hash()? == pvm.hash()? && replica.ram_hash()? == pvm.hash()?;
    println!("  hashes (equal: {equal}): {:.2?}", began.elapsed());
    println!("  private memory: {} MiB", resident()?.saturating_sub(own) >> 10);
    Ok(())
}

/// Prints the time in `receive`, all in all and the longest calls.
fn receive_all(replica: &Replica, source: &mut impl BulkSource) -> Outcome<()> {
    let (mut payload, mut times) = (Vec::new(), Vec::new());
    while let Some(kind) = source.next(&mut payload, &mut Tally::default()) {
        let began = Instant::now();
        replica.receive(kind, &payload)?;
        times.push(began.elapsed());
        payload.clear();
    }
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    let late = times.get(times.len() * 999 / 1000).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    println!(
        "  receive, {} messages: {total:.2?} (99.9 %: {late:.2?}, longest: {longest:.2?})",
        times.len()
    );
    Ok(())
}

/// Private memory of this process, in KiB.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or("no RssAnon in /proc/self/status")?.parse()?)
}
