//! `/check`: a guest that looks after itself. Three threads go round for ever, from the first request for it on: memory
//! written with patterns, a tree of files in a tmpfs, and clocks that must never go back. The first fault found ends
//! its thread and is remembered.
//!
//! How far they are differs between two copies of the guest, so an answer never tells: the client says how many rounds
//! it wants to wait for.

mod clocks;
mod rounds;
mod tree;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::patterns::Patterns;
use crate::serve;
use crate::writer::Load;
use clocks::Clocks;
use rounds::Rounds;
use tree::Tree;

const FOLDER: &str = "/tmp/check";
const LOAD: Load = Load { pages: 500, mib: 4 };
/// Changes of the tree in a round, and the pause between two.
const STEPS: u64 = 10;
const STEP: Duration = Duration::from_millis(20);
/// Readings of the clocks in a round, and the pause between two.
const READINGS: u64 = 40;
const READING: Duration = Duration::from_millis(5);
/// Between two rounds of each thread.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a verdict waits for its rounds: a guest that works needs some seconds, however busy its host.
const PATIENCE: Duration = Duration::from_secs(40);

/// What one thread does again and again; an error is the fault that it found.
type Round = Box<dyn FnMut() -> Result<(), String> + Send>;

/// Starts once, then answers.
#[derive(Default)]
pub struct Check {
    rounds: Mutex<Option<Arc<Rounds>>>,
}

impl Check {
    /// Starts what does not run yet.
    pub fn start(&self) -> io::Result<()> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        if rounds.is_none() {
            *rounds = Some(watch(all(Path::new(FOLDER))?)?);
        }
        Ok(())
    }

    /// Waits until each thread has finished so many whole rounds more. `N rounds: intact`, or the fault.
    pub fn verdict(&self, rounds: u64) -> String {
        let watched = self.rounds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(watched) = watched else {
            return "nothing is checked\n".to_owned();
        };
        match watched.reached(&watched.goal(rounds), PATIENCE) {
            Ok(()) => format!("{rounds} rounds: intact\n"),
            Err(fault) => format!("fault: {fault}\n"),
        }
    }
}

/// All that is checked; the folder must not exist.
fn all(folder: &Path) -> io::Result<Vec<(&'static str, Round)>> {
    let mut tree = Tree::new(folder.to_owned())?;
    let memory = Patterns::default();
    if !memory.start(LOAD) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let mut clocks = Clocks::read();
    Ok(vec![
        ("memory", Box::new(move || memory.verdict())),
        ("files", Box::new(move || go_round(&mut tree))),
        ("clocks", Box::new(move || clocks.follow_for(READINGS, READING))),
    ])
}

/// A thread for each.
fn watch(watchers: Vec<(&'static str, Round)>) -> io::Result<Arc<Rounds>> {
    let names = watchers.iter().map(|(name, _)| *name).collect();
    let rounds = Arc::new(Rounds::new(names));
    for (watcher, (name, mut round)) in watchers.into_iter().enumerate() {
        let rounds = Arc::clone(&rounds);
        serve::spawn_plain(name, move || {
            loop {
                match round() {
                    Ok(()) => rounds.finished(watcher),
                    Err(fault) => return rounds.fault(watcher, &fault),
                }
                thread::sleep(PAUSE);
            }
        })?;
    }
    Ok(rounds)
}

fn go_round(tree: &mut Tree) -> Result<(), String> {
    for _ in 0..STEPS {
        tree.step().map_err(|error| error.to_string())?;
        thread::sleep(STEP);
    }
    tree.check()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn check(watchers: Vec<(&'static str, Round)>) -> Check {
        Check {
            rounds: Mutex::new(Some(watch(watchers).unwrap())),
        }
    }

    #[test]
    fn all_go_round_and_a_damaged_tree_is_told_however_many_rounds_are_wanted() {
        let folder = std::env::temp_dir().join(format!("colo-check-{}", std::process::id()));
        let check = check(all(&folder).unwrap());
        assert_eq!(check.verdict(1), "1 rounds: intact\n");
        fs::write(folder.join("stray"), b"").unwrap();
        let verdict = check.verdict(1000);
        assert!(verdict.starts_with("fault: files: "), "{verdict}");
        assert_eq!(check.verdict(1), verdict, "it is remembered");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damaged_memory_is_told() {
        let memory = Patterns::default();
        assert!(memory.start(LOAD));
        memory.damage();
        let verdict = check(vec![("memory", Box::new(move || memory.verdict()))]).verdict(1000);
        assert!(verdict.starts_with("fault: memory: page "), "{verdict}");
    }

    #[test]
    fn a_clock_that_goes_back_is_told() {
        let mut clocks = Clocks::read();
        clocks.advance(Duration::from_secs(3600));
        let round = move || clocks.follow_for(1, READING);
        let verdict = check(vec![("clocks", Box::new(round))]).verdict(1000);
        assert!(
            verdict.starts_with("fault: clocks: CLOCK_MONOTONIC went back by 3"),
            "{verdict}"
        );
    }

    #[test]
    fn without_a_start_there_is_nothing_to_tell() {
        assert_eq!(Check::default().verdict(1), "nothing is checked\n");
    }
}
