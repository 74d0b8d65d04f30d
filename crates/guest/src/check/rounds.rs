//! How far watchers that go round for ever have come, and the first fault that one of them found.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared by the watchers, numbered from 0, and those who ask.
pub struct Rounds {
    names: Vec<&'static str>,
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    /// Rounds that each watcher has finished.
    done: Vec<u64>,
    fault: Option<String>,
}

/// How many rounds each watcher must have finished.
pub struct Goal(Vec<u64>);

impl Now {
    /// The first watcher that is not there yet.
    fn behind(&self, goal: &Goal) -> Option<usize> {
        let mut both = self.done.iter().zip(&goal.0);
        both.position(|(done, wanted)| done < wanted)
    }
}

impl Rounds {
    pub fn new(names: Vec<&'static str>) -> Self {
        let now = Now {
            done: vec![0; names.len()],
            fault: None,
        };
        Self {
            names,
            now: Mutex::new(now),
            changed: Condvar::new(),
        }
    }

    pub fn finished(&self, watcher: usize) {
        if let Some(done) = self.lock().done.get_mut(watcher) {
            *done += 1;
        }
        self.changed.notify_all();
    }

    /// The first one counts.
    pub fn fault(&self, watcher: usize, what: &str) {
        let fault = format!("{}: {what}", self.name(watcher));
        self.lock().fault.get_or_insert(fault);
        self.changed.notify_all();
    }

    /// So many rounds of each watcher that begin from now on: the one that it is in does not count.
    pub fn goal(&self, rounds: u64) -> Goal {
        Goal(self.lock().done.iter().map(|done| done + 1 + rounds).collect())
    }

    /// Waits until all watchers are there. An error is the fault, known before or found meanwhile; a watcher that
    /// is not there after `patience` is one, too.
    pub fn reached(&self, goal: &Goal, patience: Duration) -> Result<(), String> {
        let waiting = |now: &mut Now| now.fault.is_none() && now.behind(goal).is_some();
        let (now, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = &now.fault {
            return Err(fault.clone());
        }
        match now.behind(goal) {
            None => Ok(()),
            Some(watcher) => Err(format!("{}: stands still", self.name(watcher))),
        }
    }

    fn name(&self, watcher: usize) -> &'static str {
        self.names.get(watcher).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn two() -> Rounds {
        Rounds::new(vec!["one", "two"])
    }

    #[test]
    fn a_goal_is_reached_when_the_slowest_is_there() {
        let rounds = two();
        let goal = rounds.goal(1);
        (0..5).for_each(|_| rounds.finished(0));
        rounds.finished(1);
        assert_eq!(
            rounds.reached(&goal, Duration::ZERO),
            Err("two: stands still".to_owned()),
            "the round that it was in when it was asked does not count"
        );
        rounds.finished(1);
        assert_eq!(rounds.reached(&goal, Duration::ZERO), Ok(()));
    }

    #[test]
    fn whoever_waits_is_told_when_it_is_reached() {
        let rounds = two();
        let goal = rounds.goal(1);
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| rounds.reached(&goal, LONG));
            [0, 1, 0, 1]
                .into_iter()
                .for_each(|watcher| rounds.finished(watcher));
            assert_eq!(asked.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn a_fault_ends_the_wait_and_is_kept() {
        let rounds = two();
        let goal = rounds.goal(1000);
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| rounds.reached(&goal, LONG));
            rounds.fault(1, "first");
            rounds.fault(0, "second");
            assert_eq!(asked.join().unwrap(), Err("two: first".to_owned()));
        });
        assert_eq!(rounds.reached(&goal, LONG), Err("two: first".to_owned()));
    }
}
