//! Prints what encoding costs and saves here, for pages of several kinds: `encode [pages]`.

use std::hint::black_box;
use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

use colo_ram::{BulkSource, Encoder, GuestRam, LivePages, Lz4, PAGE, PageSet, Replica, Tally};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use xxhash_rust::xxh3::xxh3_64_with_seed;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
/// Makes the content of a page, of its number.
type Fill = fn(&mut [u8; PAGE], u64);

const ROUNDS: usize = 5;
const KINDS: [(&str, Fill, Fill); 6] = [
    ("zero again", |_, _| {}, |_, _| {}),
    ("equal", noise, |_, _| {}),
    ("one word changed", noise, |page, _| touch(page, 1)),
    ("40 words changed", noise, |page, _| touch(page, 40)),
    ("another text", text, |page, index| text(page, index + 1)),
    ("other noise", noise, |page, index| noise(page, index + 1_000_000)),
];

fn main() -> Outcome<()> {
    let argument = std::env::args().nth(1).map(|argument| argument.parse::<u64>());
    let pages = argument.transpose()?.unwrap_or(16_384);
    println!("{pages} pages, medians of {ROUNDS}; encode and decode in ns per page, bytes per page");
    for (name, before, after) in KINDS {
        for lz4 in [Lz4::Never, Lz4::Always] {
            measure(name, pages, before, after, lz4)?;
        }
    }
    two_threads(pages)
}

fn measure(name: &str, pages: u64, before: Fill, after: Fill, lz4: Lz4) -> Outcome<()> {
    let (mut encode, mut decode, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let ram = guest_ram(pages)?;
        let replica = Replica::new(&guest_ram(pages)?, ram.size())?;
        let encoder = Encoder::new(&ram, true)?;
        fill(&ram, before)?;
        transfer(&ram, &encoder, lz4, &replica)?;
        fill(&ram, after)?;
        let (tally, took) = transfer(&ram, &encoder, lz4, &replica)?;
        encode.push(tally.encode_ns / pages);
        decode.push(took / pages);
        bytes = tally.sent_bytes / pages;
    }
    encode.sort_unstable();
    decode.sort_unstable();
    let (encode, decode) = (encode.get(ROUNDS / 2), decode.get(ROUNDS / 2));
    println!(
        "  {name:<18} {lz4:<7?} encode {:>6} decode {:>6} bytes {bytes:>5}",
        encode.unwrap_or(&0),
        decode.unwrap_or(&0)
    );
    Ok(())
}

/// What the encoder counted, and nanoseconds that the replica took.
fn transfer(ram: &GuestRam, encoder: &Encoder, lz4: Lz4, replica: &Replica) -> Outcome<(Tally, u64)> {
    let mut source = LivePages::new(ram.clone(), &PageSet::all(ram.pages()), encoder, lz4);
    let (mut tally, mut payload, mut decode) = (Tally::default(), Vec::new(), 0);
    while let Some(kind) = source.next(&mut payload, &mut tally) {
        let began = Instant::now();
        replica.receive(kind, &payload)?;
        decode += u64::try_from(began.elapsed().as_nanos())?;
        payload.clear();
    }
    Ok((tally, decode))
}

/// Whether two encoders at work at once are faster than one: what a second thread would be worth.
fn two_threads(pages: u64) -> Outcome<()> {
    let mut times = Vec::new();
    for threads in [1, 2] {
        let rams: Vec<_> = (0..threads).map(|_| guest_ram(pages)).collect::<Outcome<_>>()?;
        rams.iter().try_for_each(|ram| fill(ram, text))?;
        let began = Instant::now();
        thread::scope(|scope| {
            for ram in &rams {
                scope.spawn(move || compress(ram));
            }
        });
        times.push(began.elapsed().as_secs_f64() / f64::from(threads));
    }
    if let [one, two] = times[..] {
        println!(
            "  two threads that compress texts: {:.2} times as fast as one",
            one / two
        );
    }
    Ok(())
}

fn compress(ram: &GuestRam) {
    if let Ok(encoder) = Encoder::new(ram, true) {
        let mut source = LivePages::new(ram.clone(), &PageSet::all(ram.pages()), &encoder, Lz4::Always);
        let mut payload = Vec::new();
        while source.next(&mut payload, &mut Tally::default()).is_some() {
            black_box(&payload);
            payload.clear();
        }
    }
}

fn guest_ram(pages: u64) -> Outcome<GuestRam> {
    let file = memfd_create("encode", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, pages * PAGE as u64)?;
    Ok(GuestRam::new(file.as_fd(), pages * PAGE as u64)?)
}

fn fill(ram: &GuestRam, make: Fill) -> Outcome<()> {
    let mut page = [0; PAGE];
    for index in 0..ram.pages() {
        ram.read_page(index, &mut page)?;
        make(&mut page, index);
        ram.write_page(index, &page)?;
    }
    Ok(())
}

fn noise(page: &mut [u8; PAGE], index: u64) {
    for (at, word) in page.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&xxh3_64_with_seed(&at.to_le_bytes(), index).to_le_bytes());
    }
}

/// Something like a log: words that come again and numbers that do not.
fn text(page: &mut [u8; PAGE], index: u64) {
    for (at, line) in page.chunks_mut(32).enumerate() {
        let number = xxh3_64_with_seed(&at.to_le_bytes(), index) % 100_000_000;
        let text = format!("GET /page {number:>8} 200 OK agent\n ");
        line.iter_mut()
            .zip(text.bytes())
            .for_each(|(to, from)| *to = from);
    }
}

fn touch(page: &mut [u8; PAGE], words: usize) {
    let step = PAGE / 8 / words;
    page.chunks_exact_mut(8)
        .step_by(step)
        .filter_map(|word| word.first_mut())
        .for_each(|byte| *byte ^= 0x55);
}
