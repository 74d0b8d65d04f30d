//! Checkpoints from any peer: a replica takes whole ones in order and nothing else, and after each its cache and the
//! SVM's RAM are what a plain copy of the accepted pages would be.
#![no_main]

use colo_ram::{DEVICE, GuestRam, PAGE, PAGES, PageSet, Received, Replica, STATE_END};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const RAM_PAGES: u64 = 4;
/// Bytes that may wait.
const LIMIT: u64 = 64 << 10;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Pages of this checkpoint more than the last whole one.
    Pages(u8, Vec<(u8, Content<'a>)>),
    /// Of this size, mostly the one that was said before.
    Device(u8, u16, Vec<(u8, Content<'a>)>),
    /// The end as it should be, of what was sent.
    End(u8),
    Raw(u8, &'a [u8]),
    Apply,
    /// The SVM writes a page of its own.
    Write(u8, u8),
    Forget(u8),
}

/// What stands behind a page's number.
#[derive(Arbitrary, Debug)]
enum Content<'a> {
    Zero,
    Fill(u8),
    Delta(&'a [u8]),
    /// A true block, of a page that repeats these bytes.
    Repeat(&'a [u8]),
    Block(&'a [u8]),
    /// In pre-copy, the page with this number once more.
    Twin(u8),
}

type Ram = [[u8; PAGE]; RAM_PAGES as usize];

/// The sender's account of the checkpoint under way, with pages as a plain copy would have them.
struct Sum {
    pages: u64,
    size: u64,
    value: u64,
    /// What the RAM is with these pages.
    ram: Ram,
}

impl Sum {
    fn new(ram: Ram) -> Self {
        Self {
            pages: 0,
            size: 0,
            value: 0,
            ram,
        }
    }

    /// Counts a page in; `base` is the RAM that it may refer to.
    fn add(&mut self, index: u8, content: &Content<'_>, base: &Ram) {
        let place = usize::from(index % 8);
        let old = base.get(place).copied().unwrap_or([0; PAGE]);
        let Some(page) = content.plain(&old) else { return };
        let bytes: &[u8] = if matches!(content, Content::Zero) {
            &[]
        } else {
            &page
        };
        self.take(place, bytes, page);
    }

    fn take(&mut self, place: usize, bytes: &[u8], page: [u8; PAGE]) {
        self.value = self.value.wrapping_add(xxh3_64_with_seed(bytes, place as u64));
        self.pages += 1;
        if let Some(place) = self.ram.get_mut(place) {
            *place = page;
        }
    }

    /// Counts a page in that is like another one, as that is by now; what has not come is refused.
    fn add_twin(&mut self, index: u8, other: u8) {
        if let Some(page) = self.ram.get(usize::from(other)).copied() {
            self.take(usize::from(index % 8), &page, page);
        }
    }

    /// As if the device state were zeros.
    fn digest(&self) -> u64 {
        self.value ^ xxh3_64(&vec![0; self.size as usize])
    }
}

struct World {
    ram: GuestRam,
    replica: Replica,
    base: u64,
    applied: u64,
    sum: Sum,
    dirty: PageSet,
    /// The RAM of the last whole checkpoint, or as pre-copy left it.
    whole: Ram,
    /// That of the last one applied, or as pre-copy left it.
    stored: Ram,
    /// That of those that wait.
    waiting: BTreeMap<u64, Ram>,
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let file = memfd_create("ram", MemfdFlags::CLOEXEC).expect("memory");
    ftruncate(&file, RAM_PAGES * PAGE as u64).expect("memory");
    let ram = GuestRam::new(file.as_fd(), RAM_PAGES * PAGE as u64).expect("a mapping");
    let replica = Replica::new(&ram, LIMIT).expect("a mapping");
    let mut world = World {
        ram,
        replica,
        base: 0,
        applied: 0,
        sum: Sum::new([[0; PAGE]; RAM_PAGES as usize]),
        dirty: PageSet::new(RAM_PAGES),
        whole: [[0; PAGE]; RAM_PAGES as usize],
        stored: [[0; PAGE]; RAM_PAGES as usize],
        waiting: BTreeMap::new(),
    };
    steps.iter().take(100).for_each(|step| world.step(step));
});

impl World {
    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Pages(ahead, pages) => {
                let mut out = self.head(*ahead);
                put_pages(&mut out, pages);
                let precopy = out.starts_with(&[0; 8]);
                for (index, content) in pages {
                    match content {
                        Content::Twin(other) if precopy => self.sum.add_twin(*index, *other),
                        _ => self.sum.add(*index, content, &self.whole),
                    }
                }
                self.send(PAGES, &out);
            }
            Step::Device(ahead, size, pages) => {
                let mut out = self.head(*ahead);
                if size % 4 == 0 {
                    self.sum.size = u64::from(*size);
                }
                out.extend_from_slice(&self.sum.size.to_le_bytes());
                put_pages(&mut out, pages);
                self.send(DEVICE, &out);
            }
            Step::End(ahead) => self.end(*ahead),
            // Pre-copy that is well-formed by chance would be in no account.
            Step::Raw(kind, bytes) if *kind == PAGES && bytes.starts_with(&[0; 8]) => {}
            Step::Raw(kind, bytes) => self.send(*kind, bytes),
            Step::Apply => self.apply(),
            Step::Write(index, fill) => {
                let index = u64::from(*index) % RAM_PAGES;
                self.ram
                    .write_page(index, &[*fill; PAGE])
                    .expect("a page that is there");
                self.dirty.insert(index).expect("a page that is there");
            }
            Step::Forget(ahead) => {
                // All that waits, so that the last whole one is the one applied, if any.
                self.replica.forget(self.applied + 1);
                self.replica.forget(self.applied + 1 + u64::from(*ahead % 4));
                self.waiting.clear();
                self.base = self.applied;
                self.whole = self.stored;
                self.sum = Sum::new(self.whole);
            }
        }
    }

    fn head(&self, ahead: u8) -> Vec<u8> {
        // Mostly the next one.
        let ahead = if ahead > 200 { u64::from(ahead) - 201 } else { 1 };
        let checkpoint = if ahead == 54 { 0 } else { self.base + ahead };
        checkpoint.to_le_bytes().to_vec()
    }

    fn end(&mut self, ahead: u8) {
        let mut out = self.head(ahead);
        for number in [self.sum.pages, self.sum.size, self.sum.digest()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.send(STATE_END, &out);
        self.sum = Sum::new(self.whole);
    }

    fn send(&mut self, kind: u8, payload: &[u8]) {
        let precopy = payload.starts_with(&[0; 8]);
        match self.replica.receive(kind, payload) {
            Ok(Received::Complete {
                checkpoint, bytes, ..
            }) => {
                assert!(self.base == 0 || checkpoint == self.base + 1, "out of order");
                assert!(bytes <= LIMIT, "more than may wait");
                self.base = checkpoint;
                self.whole = self.sum.ram;
                self.waiting.insert(checkpoint, self.whole);
            }
            Ok(Received::Stored) if precopy => {
                // It is in the cache already.
                self.whole = self.sum.ram;
                self.stored = self.whole;
            }
            Ok(Received::Stored | Received::Dropped) => {}
            Err(damaged) => {
                assert!(!damaged.to_string().is_empty());
                self.sum = Sum::new(self.whole);
            }
        }
    }

    fn apply(&mut self) {
        let next = self.waiting.keys().next().copied().unwrap_or(self.applied + 1);
        let before = self.replica.cache_hash().expect("a cache");
        if self.replica.apply(next, &self.dirty).is_err() {
            assert_eq!(
                before,
                self.replica.cache_hash().expect("a cache"),
                "a refusal changes nothing"
            );
            return;
        }
        self.applied = next;
        self.dirty = PageSet::new(RAM_PAGES);
        self.stored = self.waiting.remove(&next).expect("nothing else is whole");
        let expected = xxh3_64(self.stored.as_flattened());
        assert_eq!(self.replica.cache_hash().expect("a cache"), expected);
        assert_eq!(self.replica.ram_hash().expect("RAM"), expected);
        assert!(self.replica.device(next).is_ok());
    }
}

fn put_pages(out: &mut Vec<u8>, pages: &[(u8, Content<'_>)]) {
    out.extend_from_slice(&(pages.len() as u16).to_le_bytes());
    for (index, content) in pages {
        out.extend_from_slice(&u64::from(index % 8).to_le_bytes());
        content.put(out);
    }
}

impl Content<'_> {
    /// The page, made in the plainest way; `None` when this is none.
    fn plain(&self, old: &[u8; PAGE]) -> Option<[u8; PAGE]> {
        match self {
            Self::Zero => Some([0; PAGE]),
            Self::Fill(fill) => Some([*fill; PAGE]),
            Self::Delta(runs) => changed(old, runs),
            Self::Repeat(bytes) => Some(repeated(bytes)),
            Self::Block(bytes) => lz4_flex::block::decompress(bytes, PAGE).ok()?.try_into().ok(),
            Self::Twin(_) => None,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let (kind, bytes) = match self {
            Self::Zero => return out.push(0),
            Self::Fill(fill) => {
                out.push(1);
                return out.extend_from_slice(&[*fill; PAGE]);
            }
            Self::Delta(bytes) => (2, bytes.to_vec()),
            Self::Repeat(bytes) => (3, lz4_flex::block::compress(&repeated(bytes))),
            Self::Block(bytes) => (3, bytes.to_vec()),
            Self::Twin(other) => {
                out.push(5);
                return out.extend_from_slice(&u64::from(*other).to_le_bytes());
            }
        };
        out.push(kind);
        out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

fn changed(old: &[u8; PAGE], mut runs: &[u8]) -> Option<[u8; PAGE]> {
    let (mut page, mut at) = (*old, 0);
    while let [skip, count, rest @ ..] = runs {
        at += usize::from(*skip) * 8;
        for byte in rest.get(..usize::from(*count) * 8)? {
            *page.get_mut(at)? = *byte;
            at += 1;
        }
        runs = rest.get(usize::from(*count) * 8..)?;
    }
    (runs.is_empty() && at <= PAGE).then_some(page)
}

fn repeated(bytes: &[u8]) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page.iter_mut()
        .zip(bytes.iter().cycle())
        .for_each(|(to, from)| *to = *from);
    page
}
