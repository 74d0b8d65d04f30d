//! The one clock of the data path.

use rustix::time::{ClockId, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;
/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// CLOCK_BOOTTIME in nanoseconds: it goes on while the host sleeps, so that a lease runs out there too.
#[must_use]
pub fn boottime_ns() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(NS_PER_S).saturating_add(nanos)
}
