//! `/patterns`: memory that is written at random, page by page, and that shows whether it was carried over whole. Each
//! page is noise made from a number, with its sum at the end; a page never written is zero, whose sum is zero.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::serve;
use crate::writer::Load;

const WORDS: usize = 512;
const PAGES_PER_MIB: usize = 256;
const TICK: Duration = Duration::from_millis(10);
/// Pages written or checked before others get the memory.
const BATCH: u64 = 64;

/// The area that is written at the moment, if any.
#[derive(Default)]
pub struct Patterns {
    running: Mutex<Option<Arc<Area>>>,
}

/// Shared by a thread that writes, one that checks, and those who ask.
struct Area {
    memory: Mutex<Vec<[u64; WORDS]>>,
    /// Number of a page that was found damaged, from 1; 0 is none.
    damaged: AtomicU64,
    stop: AtomicBool,
}

impl Patterns {
    /// Ends what ran before and writes `load.pages` random pages per second; false when there is no memory for it.
    pub fn start(&self, load: Load) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = running.take() {
            before.stop.store(true, Ordering::Relaxed);
        }
        if load.pages == 0 {
            return true;
        }
        let area = Arc::new(Area::new(load.mib * PAGES_PER_MIB));
        let (writer, checker) = (Arc::clone(&area), Arc::clone(&area));
        *running = Some(area);
        serve::spawn_plain("patterns", move || writer.write(load.pages)).is_ok()
            && serve::spawn_plain("checker", move || checker.check_for_ever()).is_ok()
    }

    /// Looks at every page: "intact", or which one is damaged.
    pub fn verdict(&self) -> String {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(area) = running else {
            return "nothing is written\n".to_owned();
        };
        area.check_all();
        match area.damaged.load(Ordering::Relaxed) {
            0 => "intact\n".to_owned(),
            page => format!("page {page} is damaged\n"),
        }
    }
}

impl Area {
    fn new(pages: usize) -> Self {
        Self {
            memory: Mutex::new(vec![[0; WORDS]; pages]),
            damaged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// The clock paces this thread only, as in `writer`.
    fn write(&self, pages_per_s: u64) {
        let (start, mut written) = (Instant::now(), 0);
        while !self.stop.load(Ordering::Relaxed) {
            let due = start.elapsed().as_millis() as u64 * pages_per_s / 1000;
            // Whoever falls behind by a second writes what it can, and owes nothing.
            written = written.max(due.saturating_sub(pages_per_s));
            while written < due {
                let end = due.min(written + BATCH);
                self.write_pages(written, end);
                written = end;
            }
            std::thread::sleep(TICK);
        }
    }

    fn write_pages(&self, first: u64, end: u64) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for number in first..end {
            let place = noise(number.wrapping_add(1)) as usize % memory.len().max(1);
            if let Some(page) = memory.get_mut(place) {
                fill(page, number.wrapping_add(1));
            }
        }
    }

    fn check_for_ever(&self) {
        let mut first = 0;
        while !self.stop.load(Ordering::Relaxed) {
            first = if self.check(first) {
                first + BATCH as usize
            } else {
                0
            };
            std::thread::sleep(TICK);
        }
    }

    fn check_all(&self) {
        let mut first = 0;
        while self.check(first) {
            first += BATCH as usize;
        }
    }

    /// Checks some pages; false when there are none.
    fn check(&self, first: usize) -> bool {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = memory.get(first..).filter(|rest| !rest.is_empty()) else {
            return false;
        };
        let mut pages = (first as u64 + 1..).zip(rest.iter().take(BATCH as usize));
        if let Some((number, _)) = pages.find(|(_, page)| !is_whole(page)) {
            self.damaged.store(number, Ordering::Relaxed);
        }
        true
    }
}

fn fill(page: &mut [u64; WORDS], number: u64) {
    let (mut value, mut sum) = (noise(number), 0_u64);
    let (words, last) = page.split_at_mut(WORDS - 1);
    for word in words {
        value = noise(value);
        *word = value;
        sum = sum.wrapping_add(value);
    }
    last.fill(sum);
}

fn is_whole(page: &[u64; WORDS]) -> bool {
    let (words, last) = page.split_at(WORDS - 1);
    last == [words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word))]
}

/// Xorshift (Marsaglia 2003): 0 only from 0.
fn noise(mut value: u64) -> u64 {
    value ^= value << 13;
    value ^= value >> 7;
    value ^ (value << 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_whole_until_a_bit_changes() {
        let area = Area::new(300);
        area.check_all();
        area.write_pages(0, 1000);
        area.check_all();
        assert_eq!(area.damaged.load(Ordering::Relaxed), 0);
        area.memory.lock().unwrap()[299][5] ^= 1 << 40;
        area.check_all();
        assert_eq!(area.damaged.load(Ordering::Relaxed), 300);
    }

    #[test]
    fn pages_all_over_the_area_are_written_and_differ() {
        let area = Area::new(64);
        area.write_pages(0, 1000);
        let mut pages = area.memory.lock().unwrap().clone();
        assert!(pages.iter().all(|page| page[0] != 0));
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), 64);
    }

    #[test]
    fn a_new_load_ends_the_one_before_and_none_says_so() {
        let patterns = Patterns::default();
        assert_eq!(patterns.verdict(), "nothing is written\n");
        assert!(patterns.start(Load { pages: 1000, mib: 1 }));
        assert_eq!(patterns.verdict(), "intact\n");
        let first = patterns.running.lock().unwrap().clone().unwrap();
        assert!(patterns.start(Load { pages: 0, mib: 1 }));
        assert!(first.stop.load(Ordering::Relaxed));
        assert_eq!(patterns.verdict(), "nothing is written\n");
    }
}
