//! `/patterns`: memory that is written at random, page by page, and that shows whether it was carried over whole. Each
//! page is noise made from a number that is kept elsewhere: a page that is damaged is found, and one that is of another
//! time than the rest of the memory, too. A page never written is zero, which is what number 0 makes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

type Page = [u64; WORDS];

/// Shared by a thread that writes, one that checks, and those who ask.
struct Area {
    memory: Mutex<Memory>,
    /// Number of a page that was found damaged, from 1; 0 is none.
    damaged: AtomicU64,
    stop: AtomicBool,
}

struct Memory {
    pages: Vec<Page>,
    /// What each page was made from.
    numbers: Vec<u64>,
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

    /// Looks at every page; an error tells which one is damaged.
    pub fn verdict(&self) -> Result<(), String> {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let area = running.ok_or("nothing is written")?;
        area.check_all();
        match area.damaged.load(Ordering::Relaxed) {
            0 => Ok(()),
            page => Err(format!("page {page} is damaged")),
        }
    }
}

impl Area {
    fn new(pages: usize) -> Self {
        Self {
            memory: Mutex::new(Memory::new(pages)),
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
        let mut memory = self.lock();
        (first..end).for_each(|number| memory.write(number.wrapping_add(1)));
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
        let memory = self.lock();
        if first >= memory.pages.len() {
            return false;
        }
        if let Some(page) = memory.damaged(first) {
            self.damaged.store(page as u64 + 1, Ordering::Relaxed);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn new(pages: usize) -> Self {
        Self {
            pages: vec![[0; WORDS]; pages],
            numbers: vec![0; pages],
        }
    }

    /// The number says which page, too.
    fn write(&mut self, number: u64) {
        let place = noise(number) as usize % self.pages.len().max(1);
        if let (Some(page), Some(kept)) = (self.pages.get_mut(place), self.numbers.get_mut(place)) {
            *page = content(number);
            *kept = number;
        }
    }

    /// The first one, from 0, of the pages from `first` on, of which some are looked at.
    fn damaged(&self, first: usize) -> Option<usize> {
        let pages = self.pages.iter().zip(&self.numbers).enumerate();
        let mut some = pages.skip(first).take(BATCH as usize);
        some.find_map(|(place, (page, number))| (*page != content(*number)).then_some(place))
    }
}

fn content(number: u64) -> Page {
    let mut value = noise(number);
    std::array::from_fn(|_| {
        value = noise(value);
        value
    })
}

/// Xorshift (Marsaglia 2003): 0 only from 0.
pub fn noise(mut value: u64) -> u64 {
    value ^= value << 13;
    value ^= value >> 7;
    value ^ (value << 17)
}

#[cfg(test)]
impl Patterns {
    /// Changes a bit of every page.
    pub fn damage(&self) {
        let running = self.running.lock().unwrap();
        let mut memory = running.as_ref().unwrap().lock();
        memory.pages.iter_mut().for_each(|page| page[7] ^= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the page that is found after a change, from 1; 0 is none.
    fn found_after(change: impl FnOnce(&mut Memory)) -> u64 {
        let area = Area::new(300);
        area.write_pages(0, 1000);
        change(&mut area.lock());
        area.check_all();
        area.damaged.load(Ordering::Relaxed)
    }

    #[test]
    fn pages_are_whole_until_a_bit_changes() {
        assert_eq!(found_after(|_| ()), 0);
        assert_eq!(found_after(|memory| memory.pages[299][5] ^= 1 << 40), 300);
    }

    #[test]
    fn a_page_of_another_time_is_found_though_it_is_whole() {
        let stale = |memory: &mut Memory| {
            let (before, number) = (memory.pages[17], memory.numbers[17]);
            (number + 1..).find(|later| {
                memory.write(*later);
                memory.numbers[17] == *later
            });
            memory.pages[17] = before;
        };
        assert_eq!(found_after(stale), 18);
        let lost = |memory: &mut Memory| memory.pages[200] = [0; WORDS];
        assert_eq!(found_after(lost), 201);
    }

    #[test]
    fn pages_all_over_the_area_are_written_and_differ() {
        let area = Area::new(64);
        area.write_pages(0, 1000);
        let mut pages = area.lock().pages.clone();
        assert!(pages.iter().all(|page| page[0] != 0));
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), 64);
    }

    #[test]
    fn a_new_load_ends_the_one_before_and_none_says_so() {
        let patterns = Patterns::default();
        assert_eq!(patterns.verdict(), Err("nothing is written".to_owned()));
        assert!(patterns.start(Load { pages: 1000, mib: 1 }));
        assert_eq!(patterns.verdict(), Ok(()));
        let first = patterns.running.lock().unwrap().clone().unwrap();
        assert!(patterns.start(Load { pages: 0, mib: 1 }));
        assert!(first.stop.load(Ordering::Relaxed));
        assert_eq!(patterns.verdict(), Err("nothing is written".to_owned()));
    }
}
