//! `/write`: a thread that dirties memory at a given rate, to see what checkpoints cost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::serve;

const PAGE: usize = 4096;
const TICK: Duration = Duration::from_millis(10);

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Pages per second; 0 stops.
    pub pages: u64,
    /// Size of the buffer whose pages are written in turn, MiB; at least 1.
    pub mib: usize,
}

/// The thread that writes at the moment, if any.
#[derive(Default)]
pub struct Writer {
    stop: Mutex<Option<Arc<AtomicBool>>>,
}

impl Writer {
    /// Ends the thread of before and starts one for `load`; false when there is no memory for it.
    pub fn start(&self, load: Load) -> bool {
        let mut running = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = running.take() {
            stop.store(true, Ordering::Relaxed);
        }
        if load.pages == 0 {
            return true;
        }
        let stop = Arc::new(AtomicBool::new(false));
        *running = Some(Arc::clone(&stop));
        serve::spawn_plain("writer", move || write(load, &stop)).is_ok()
    }
}

/// The clock paces this thread only: what it writes is never answered to anyone.
fn write(load: Load, stop: &AtomicBool) {
    let mut buffer = vec![0_u8; load.mib << 20];
    let start = Instant::now();
    let mut written = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_millis() as u64 * load.pages / 1000;
        write_pages(&mut buffer, written, due);
        written = due;
        std::thread::sleep(TICK);
    }
}

/// Writes page `first` to `end`, counted over all turns through the buffer: the number goes into the page.
fn write_pages(buffer: &mut [u8], first: u64, end: u64) {
    let pages = (buffer.len() / PAGE).max(1) as u64;
    // A writer that fell behind by more than a turn need not write a page twice.
    for number in first.max(end.saturating_sub(pages))..end {
        let at = (number % pages) as usize * PAGE;
        if let Some(word) = buffer.get_mut(at..at + 8) {
            word.copy_from_slice(&number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_written_in_turn_and_no_others() {
        let mut buffer = vec![0xff; 4 * PAGE];
        write_pages(&mut buffer, 3, 6);
        let numbers: Vec<u8> = buffer.chunks(PAGE).map(|page| page[0]).collect();
        assert_eq!(numbers, [4, 5, 0xff, 3]);
        assert!(
            buffer
                .chunks(PAGE)
                .all(|page| page[8..].iter().all(|byte| *byte == 0xff))
        );
    }

    #[test]
    fn falling_behind_costs_one_turn_at_most() {
        let mut buffer = vec![0; 2 * PAGE];
        write_pages(&mut buffer, 0, u64::MAX);
        assert_eq!(buffer[..8], (u64::MAX - 1).to_le_bytes());
    }

    #[test]
    fn a_new_load_ends_the_one_before() {
        let writer = Writer::default();
        assert!(writer.start(Load { pages: 10, mib: 1 }));
        let first = writer.stop.lock().unwrap().clone().unwrap();
        assert!(writer.start(Load { pages: 0, mib: 1 }));
        assert!(first.load(Ordering::Relaxed));
        assert!(writer.stop.lock().unwrap().is_none());
    }
}
