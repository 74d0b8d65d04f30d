//! How far the SVM lags behind the PVM, and how long a flow may therefore be silent. See docs/hold-limit.md.

/// What is always allowed on top of the estimate: reordering, and a turn of a busy host's scheduler.
pub(crate) const FLOOR_NS: u64 = 5_000_000;
/// The limit is so many times the 99th percentile, and the floor.
const FACTOR: u64 = 2;

/// Samples are counted in units of 2^16 ns (66 us): the first bucket is below one, then each power of two has two.
const UNIT_BITS: u32 = 16;
/// The last bucket takes all from 2^23 units (9 minutes) on.
const BUCKETS: usize = 48;

/// What one sample weighs: enough to be halved a few times.
const SAMPLE: u64 = 1 << 8;
/// A wait that reached the limit weighs 1/32 of all samples: more than the percentile leaves out, so that it alone
/// moves the limit, as a retransmission timeout doubles the next one (RFC 6298 section 5.5).
const LATE_SHARE: u64 = 32;

/// What is older than this weighs half, and again half.
const HALF_LIFE_NS: u64 = 1_000_000_000;
/// Samples that are not halved further, so that a quiet VM does not forget.
const KEPT: u64 = 128 * SAMPLE;

/// A decaying histogram of the time from a frame of the PVM to its twin.
#[derive(Debug)]
pub(crate) struct Lag {
    buckets: [u64; BUCKETS],
    total: u64,
    halved: u64,
    /// Where the first sample is, which nobody has seen, and what it still weighs.
    guess: (usize, u64),
}

impl Lag {
    /// Begins with one sample of `guess` nanoseconds: it decides until a hundred frames have agreed.
    pub(crate) fn new(guess: u64) -> Self {
        let mut lag = Self {
            buckets: [0; BUCKETS],
            total: 0,
            halved: 0,
            guess: (bucket_of(guess), SAMPLE),
        };
        lag.add(guess, SAMPLE);
        lag
    }

    /// A frame agreed after it had waited so long.
    pub(crate) fn agreed(&mut self, waited_ns: u64, now: u64) {
        self.add(waited_ns, SAMPLE);
        if self.total >= 2 * KEPT && now.saturating_sub(self.halved) >= HALF_LIFE_NS {
            self.halved = now;
            self.buckets.iter_mut().for_each(|weight| *weight /= 2);
            self.total = self.buckets.iter().sum();
            self.guess.1 /= 2;
        }
    }

    /// A frame reached the limit: its twin takes at least so long.
    pub(crate) fn late(&mut self, waited_ns: u64) {
        self.add(waited_ns, SAMPLE.max(self.total / LATE_SHARE));
    }

    /// 99 of 100 waits are not longer, in nanoseconds; up to half more than exact.
    pub(crate) fn p99(&self) -> u64 {
        self.p99_without(0)
    }

    /// The same of what was seen only, without the guess; nothing before the first frame.
    pub(crate) fn seen_p99(&self) -> Option<u64> {
        let (_, guessed) = self.guess;
        (self.total > guessed).then(|| self.p99_without(guessed))
    }

    /// So much of the guess's weight does not count.
    fn p99_without(&self, guessed: u64) -> u64 {
        let rest = (self.total - guessed) / 100;
        let mut longer = 0;
        let found = self.buckets.iter().enumerate().rev().find(|(at, weight)| {
            longer += *weight;
            longer - if *at <= self.guess.0 { guessed } else { 0 } > rest
        });
        upper_bound(found.map_or(0, |(at, _)| at))
    }

    /// How long a flow may be silent, in nanoseconds.
    pub(crate) fn limit(&self) -> u64 {
        FACTOR * self.p99() + FLOOR_NS
    }

    fn add(&mut self, waited_ns: u64, weight: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(waited_ns)) {
            // Bounded by the time in which frames can come: 2^64 / SAMPLE of them take centuries.
            *bucket = bucket.saturating_add(weight);
            self.total = self.total.saturating_add(weight);
        }
    }
}

fn bucket_of(ns: u64) -> usize {
    let units = ns >> UNIT_BITS;
    match units.checked_ilog2() {
        None => 0,
        Some(0) => 1,
        Some(power) => {
            let upper_half = units >> (power - 1) & 1;
            (2 * power as usize + upper_half as usize).min(BUCKETS - 1)
        }
    }
}

/// All samples of the bucket are shorter, but for the last one.
const fn upper_bound(bucket: usize) -> u64 {
    let units = match bucket {
        0 => 1,
        1 => 2,
        even if even % 2 == 0 => 3 << (even / 2 - 1),
        odd => 4 << (odd / 2 - 1),
    };
    units << UNIT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const GUESS: u64 = 300 * MS;

    fn after(count: u64, waited: u64) -> Lag {
        let mut lag = Lag::new(GUESS);
        (0..count).for_each(|_| lag.agreed(waited, 0));
        lag
    }

    #[test]
    fn a_bucket_says_at_most_half_more_than_the_sample() {
        for ns in (17..39).flat_map(|power| [1_u64 << power, (4 << power) / 3, (2 << power) - 1]) {
            let told = upper_bound(bucket_of(ns));
            assert!(ns < told && told <= ns + ns / 2 + 1, "{ns}: {told}");
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn the_guess_decides_until_a_hundred_frames_have_agreed() {
        assert!(after(90, MS).p99() >= GUESS);
        assert!(after(100, MS).p99() < 2 * MS);
    }

    #[test]
    fn one_wait_in_a_thousand_is_not_what_is_usual_but_five_in_a_hundred_are() {
        let mut lag = after(1000, MS);
        lag.agreed(100 * MS, 0);
        assert!(lag.p99() < 2 * MS);
        (0..50).for_each(|_| lag.agreed(100 * MS, 0));
        assert!(lag.p99() > 100 * MS);
    }

    #[test]
    fn nothing_is_seen_before_the_first_frame_and_then_that_is() {
        let mut lag = Lag::new(GUESS);
        assert_eq!(lag.seen_p99(), None);
        lag.agreed(2 * MS, 0);
        assert!(lag.p99() >= GUESS);
        assert!(lag.seen_p99().unwrap() < 4 * MS);
        lag.late(100 * MS);
        assert!((100 * MS..200 * MS).contains(&lag.seen_p99().unwrap()));
    }

    #[test]
    fn the_guess_is_left_out_however_many_frames_have_agreed() {
        let mut lag = Lag::new(GUESS);
        (1..10_000).for_each(|hour| {
            lag.agreed(20 * MS, hour * 3_600_000 * MS);
            assert!((20 * MS..31 * MS).contains(&lag.seen_p99().unwrap()));
        });
    }

    #[test]
    fn waits_as_long_as_the_guess_are_not_left_out_with_it() {
        let mut lag = Lag::new(GUESS);
        lag.agreed(GUESS, 0);
        assert_eq!(lag.seen_p99(), Some(lag.p99()));
    }

    #[test]
    fn a_small_lag_gives_a_limit_of_a_few_milliseconds() {
        let limit = after(200, MS).limit();
        assert!((FLOOR_NS..9 * MS).contains(&limit), "{limit}");
    }

    #[test]
    fn each_wait_that_reaches_the_limit_at_least_doubles_it() {
        let mut lag = after(100_000, MS);
        while lag.limit() < 60_000 * MS {
            let before = lag.limit();
            lag.late(before);
            assert!(lag.limit() >= 2 * before);
        }
    }

    #[test]
    fn what_was_late_once_is_forgotten_within_seconds_of_agreement() {
        let mut lag = after(1000, MS);
        lag.late(100 * MS);
        assert!(lag.p99() >= 100 * MS);
        (0..4000).for_each(|turn| lag.agreed(MS, turn * MS));
        assert!(lag.p99() < 2 * MS);
    }

    #[test]
    fn a_quiet_vm_does_not_forget() {
        let mut lag = after(1000, 20 * MS);
        (1..10_000).for_each(|hour| lag.agreed(20 * MS, hour * 3_600_000 * MS));
        assert!(lag.total >= KEPT);
        assert!((20 * MS..31 * MS).contains(&lag.p99()));
    }

    #[test]
    fn nothing_overflows() {
        let mut lag = Lag::new(u64::MAX);
        (0..10_000).for_each(|_| lag.late(u64::MAX));
        assert!(lag.limit() > 60_000 * MS);
    }
}
