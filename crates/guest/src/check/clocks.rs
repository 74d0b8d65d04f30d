//! Clocks that may stand still, but never go back.

use std::mem;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A reading of both clocks.
#[derive(Clone, Copy)]
pub struct Clocks {
    /// CLOCK_MONOTONIC.
    monotonic: Instant,
    /// CLOCK_REALTIME, which nobody sets here.
    real: SystemTime,
}

impl Clocks {
    pub fn read() -> Self {
        Self {
            monotonic: Instant::now(),
            real: SystemTime::now(),
        }
    }

    /// Reads them so many times, `pause` apart.
    pub fn follow_for(&mut self, readings: u64, pause: Duration) -> Result<(), String> {
        (0..readings).try_for_each(|_| {
            thread::sleep(pause);
            self.follow(Self::read())
        })
    }

    /// The next reading.
    fn follow(&mut self, next: Self) -> Result<(), String> {
        let before = mem::replace(self, next);
        if next.monotonic < before.monotonic {
            let back = before.monotonic - next.monotonic;
            return Err(format!("CLOCK_MONOTONIC went back by {back:?}"));
        }
        match next.real.duration_since(before.real) {
            Ok(_) => Ok(()),
            Err(back) => Err(format!("CLOCK_REALTIME went back by {:?}", back.duration())),
        }
    }
}

#[cfg(test)]
impl Clocks {
    /// As if they had been read so much later.
    pub fn advance(&mut self, by: Duration) {
        self.monotonic += by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_stand_still_but_not_go_back() {
        let first = Clocks::read();
        let later = Clocks {
            monotonic: first.monotonic + Duration::from_nanos(1),
            real: first.real + Duration::from_micros(3),
        };
        assert_eq!({ first }.follow(first), Ok(()));
        assert_eq!({ first }.follow(later), Ok(()));
        let back = Clocks {
            monotonic: first.monotonic,
            ..later
        };
        assert_eq!(
            { later }.follow(back),
            Err("CLOCK_MONOTONIC went back by 1ns".to_owned())
        );
        let back = Clocks {
            real: first.real,
            ..later
        };
        assert_eq!(
            { later }.follow(back),
            Err("CLOCK_REALTIME went back by 3µs".to_owned())
        );
    }

    #[test]
    fn every_reading_is_compared_with_the_one_before() {
        let mut clocks = Clocks::read();
        assert_eq!(clocks.follow_for(3, Duration::ZERO), Ok(()));
        clocks.advance(Duration::from_secs(3600));
        assert!(clocks.follow_for(1, Duration::ZERO).is_err());
    }
}
