//! The one clock of the data path.

use rustix::time::{ClockId, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;
/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// CLOCK_BOOTTIME in nanoseconds: it goes on while the host sleeps, so that a lease runs out there too.
#[must_use]
pub fn boottime_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// CLOCK_REALTIME in nanoseconds since 1970.
pub(crate) fn realtime_ns() -> u64 {
    nanoseconds(ClockId::Realtime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(NS_PER_S).saturating_add(nanos)
}
