//! Checkpoints from any peer: a replica takes whole ones in order and nothing else, and after each its cache and the
//! SVM's RAM are what a plain copy of the accepted pages would be.
#![no_main]

use colo_ram::{DEVICE, GuestRam, PAGE, PAGES, PageSet, Received, Replica, STATE_END};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::os::fd::AsFd;
use xxhash_rust::xxh3::Xxh3;

const RAM_PAGES: u64 = 4;
/// Bytes that may wait.
const LIMIT: u64 = 64 << 10;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Pages (number, fill) of this checkpoint more than the last whole one.
    Pages(u8, Vec<(u8, u8)>),
    Device(u8, u16, &'a [u8]),
    /// The end as it should be, of what was sent.
    End(u8),
    Raw(u8, &'a [u8]),
    Apply,
    /// The SVM writes a page of its own.
    Write(u8, u8),
    Forget(u8),
}

/// The sender's account of the checkpoint under way.
#[derive(Default)]
struct Sum {
    pages: u64,
    device: u64,
    checksum: Xxh3,
}

struct World {
    ram: GuestRam,
    replica: Replica,
    base: u64,
    applied: u64,
    sum: Sum,
    dirty: PageSet,
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
        sum: Sum::default(),
        dirty: PageSet::new(RAM_PAGES),
    };
    steps.iter().take(100).for_each(|step| world.step(step));
});

impl World {
    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Pages(ahead, pages) => {
                let mut out = self.head(*ahead);
                out.extend_from_slice(&(pages.len() as u16).to_le_bytes());
                for (index, fill) in pages {
                    page(&mut out, u64::from(index % 8), *fill);
                }
                self.sum.pages += pages.len() as u64;
                self.send(PAGES, &out);
            }
            Step::Device(ahead, offset, bytes) => {
                let mut out = self.head(*ahead);
                // Mostly where it belongs.
                let offset = if *offset % 4 == 0 {
                    (*offset).into()
                } else {
                    self.sum.device
                };
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(bytes);
                self.sum.device += bytes.len() as u64;
                self.send(DEVICE, &out);
            }
            Step::End(ahead) => self.end(*ahead),
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
                self.replica.forget(self.applied + u64::from(*ahead % 4));
                self.base = self.applied;
                self.sum = Sum::default();
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
        let sum = std::mem::take(&mut self.sum);
        for number in [sum.pages, sum.device, sum.checksum.digest()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.send(STATE_END, &out);
        self.sum = Sum::default();
    }

    fn send(&mut self, kind: u8, payload: &[u8]) {
        self.sum.checksum.update(payload);
        match self.replica.receive(kind, payload) {
            Ok(Received::Complete {
                checkpoint, bytes, ..
            }) => {
                assert!(self.base == 0 || checkpoint == self.base + 1, "out of order");
                assert!(bytes <= LIMIT, "more than may wait");
                self.base = checkpoint;
            }
            Ok(Received::Stored | Received::Dropped) => {}
            Err(damaged) => {
                assert!(!damaged.to_string().is_empty());
                self.sum = Sum::default();
            }
        }
    }

    fn apply(&mut self) {
        let next = if self.applied == 0 {
            self.base
        } else {
            self.applied + 1
        };
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
        assert_eq!(
            self.replica.ram_hash().expect("RAM"),
            self.replica.cache_hash().expect("a cache")
        );
        assert!(self.replica.device(next).is_ok());
    }
}

fn page(out: &mut Vec<u8>, index: u64, fill: u8) {
    out.extend_from_slice(&index.to_le_bytes());
    out.push(u8::from(fill != 0));
    if fill != 0 {
        out.extend_from_slice(&[fill; PAGE]);
    }
}
