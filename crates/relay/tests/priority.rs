//! The thread goes before virtual CPUs, or says that it may not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_relay::Event;
use common::*;
use std::fs;

/// Of the threads of this process with that name (proc_pid_stat(5), field 19).
fn nice_values(name: &str) -> Vec<i32> {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap())
        .filter(|stat| stat.contains(&format!("({name})")))
        .map(|stat| {
            let after_name = stat.rsplit_once(')').unwrap().1;
            after_name.split_whitespace().nth(16).unwrap().parse().unwrap()
        })
        .collect()
}

#[test]
fn the_relays_thread_goes_before_others_or_says_why_not() {
    let own = rustix::process::getpriority_process(None).unwrap();
    let side = Side::new(config());
    side.stat("vm_frames"); // the thread has answered: it runs
    let raised = nice_values("colo-relay").iter().all(|nice| *nice < own);
    let told = side.has_event(|event| matches!(event, Event::LowPriority { .. }));
    assert_ne!(raised, told);
    assert_eq!(
        rustix::process::getpriority_process(None).unwrap(),
        own,
        "nobody else's changes"
    );
}
