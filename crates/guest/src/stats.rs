//! What `/stats` tells.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts since boot, of requests that have been read whole. Two copies of the guest agree on them unless requests of
/// several connections were under way at the same time as the one for `/stats`.
#[derive(Default)]
pub struct Stats {
    pub http_requests: Count,
    pub counter_lines: Count,
    pub echo_bytes: Count,
    pub echo_datagrams: Count,
}

impl Stats {
    /// One `name value` per line.
    pub fn page(&self) -> String {
        format!(
            "http_requests {}\ncounter_lines {}\necho_bytes {}\necho_datagrams {}\n",
            self.http_requests.get(),
            self.counter_lines.get(),
            self.echo_bytes.get(),
            self.echo_datagrams.get()
        )
    }
}
