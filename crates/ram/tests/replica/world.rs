//! A primary's RAM and a secondary's replica, and what goes from one to the other.

use std::os::fd::AsFd;

use colo_ram::{
    BulkSource, Encoder, GuestRam, LivePages, Lz4, PAGE, PageSet, Received, Replica, Staging, Tally,
};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

pub const COUNT: u64 = 50;
pub const LIMIT: u64 = 1 << 20;

pub fn ram() -> GuestRam {
    let file = memfd_create("ram", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, COUNT * PAGE as u64).unwrap();
    GuestRam::new(file.as_fd(), COUNT * PAGE as u64).unwrap()
}

pub fn pages(numbers: &[u64]) -> PageSet {
    let mut set = PageSet::new(COUNT);
    numbers.iter().for_each(|page| set.insert(*page).unwrap());
    set
}

pub fn messages(mut source: impl BulkSource) -> Vec<(u8, Vec<u8>)> {
    std::iter::from_fn(|| {
        let mut payload = Vec::new();
        source
            .next(&mut payload, &mut Tally::default())
            .map(|kind| (kind, payload))
    })
    .collect()
}

/// A primary's RAM with its staging, a secondary's RAM with its replica.
pub struct Pair {
    pub pvm: GuestRam,
    pub staging: Staging,
    pub encoder: Encoder,
    pub svm: GuestRam,
    pub replica: Replica,
}

impl Pair {
    pub fn new() -> Self {
        let (pvm, svm) = (ram(), ram());
        for page in 0..COUNT {
            pvm.write_page(page, &[page as u8; PAGE]).unwrap();
        }
        let (staging, replica) = (
            Staging::new(&pvm, LIMIT).unwrap(),
            Replica::new(&svm, LIMIT).unwrap(),
        );
        Self {
            encoder: Encoder::new(&pvm, true).unwrap(),
            pvm,
            staging,
            svm,
            replica,
        }
    }

    /// One that has the whole RAM before any checkpoint.
    pub fn precopied() -> Self {
        let pair = Self::new();
        pair.precopy(&PageSet::all(COUNT));
        pair
    }

    pub fn precopy(&self, pages: &PageSet) {
        for (kind, payload) in messages(self.live(pages)) {
            assert_eq!(self.replica.receive(kind, &payload), Ok(Received::Stored));
        }
    }

    pub fn live(&self, pages: &PageSet) -> LivePages {
        LivePages::new(self.pvm.clone(), pages, &self.encoder, Lz4::Always)
    }

    pub fn write(&self, numbers: &[u64], value: u8) {
        numbers
            .iter()
            .for_each(|page| self.pvm.write_page(*page, &[value; PAGE]).unwrap());
    }

    /// Changes some bytes of these pages.
    pub fn touch(&self, numbers: &[u64], value: u8) {
        for index in numbers {
            let mut page = [0; PAGE];
            self.pvm.read_page(*index, &mut page).unwrap();
            page[100] = value;
            page[2000..2000 + usize::from(value)].fill(value);
            self.pvm.write_page(*index, &page).unwrap();
        }
    }

    /// Writes as they are drawn; the pages that a tracker would tell.
    pub fn change(&self, writes: &[(u64, u8, u8)]) -> Vec<u64> {
        for (index, kind, value) in writes {
            match kind {
                0 => self.write(&[*index], *value),
                1 => self.write(&[*index], 0),
                2 => self.touch(&[*index], *value),
                _ => {}
            }
        }
        writes.iter().map(|(index, _, _)| *index).collect()
    }

    pub fn checkpoint(&mut self, number: u64, numbers: &[u64], device: &[u8]) -> Vec<(u8, Vec<u8>)> {
        self.staging.clear().unwrap();
        self.staging.gather(&pages(numbers)).unwrap();
        messages(
            self.staging
                .source(number, device.to_vec(), &self.encoder, Lz4::Always),
        )
    }

    /// Sends all; the answer to the last.
    pub fn send(&self, messages: &[(u8, Vec<u8>)]) -> Received {
        let mut answers = messages
            .iter()
            .map(|(kind, payload)| self.replica.receive(*kind, payload).unwrap());
        answers
            .by_ref()
            .take(messages.len() - 1)
            .for_each(|answer| assert_eq!(answer, Received::Stored));
        answers.next().unwrap()
    }
}
