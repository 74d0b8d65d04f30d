//! On which side of a cut an input frame lies: both VMs must agree.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::*;
use std::sync::Barrier;
use std::thread;

/// More than a VM's socket takes, less than what may wait.
const BACKLOG: usize = 100;

fn backlog() -> Vec<Vec<u8>> {
    let frames: Vec<_> = (0..BACKLOG)
        .map(|number| request(&format!("{number:05}{}", "x".repeat(20_000))))
        .collect();
    frames
}

#[test]
fn what_the_vm_has_not_read_at_a_cut_is_told_again_after_it() {
    let pair = protected();
    let frames = ["one", "two", "three"].map(request);
    frames.iter().for_each(|frame| put(&pair.p.uplink, frame));
    frames
        .iter()
        .for_each(|frame| assert_eq!(&get(&pair.s.vm), frame));
    assert!(!pair.p.relay.pause_ingress(QUIET).unwrap());
    pair.p.relay.cut(2).unwrap();
    pair.p.relay.resume_ingress().unwrap();
    pair.finish(2);
    for frame in &frames {
        assert_eq!(&get(&pair.p.vm), frame);
        assert_eq!(&get(&pair.s.vm), frame);
    }
    quiet(&pair.p.vm);
    quiet(&pair.s.vm);
}

#[test]
fn what_the_vm_reads_while_it_is_being_stopped_is_told_again_too() {
    let pair = protected();
    put(&pair.p.uplink, &request("doubtful"));
    assert_eq!(get(&pair.s.vm), request("doubtful"));
    assert!(!pair.p.relay.pause_ingress(QUIET).unwrap());
    // Before or after it stopped: nobody can tell.
    assert_eq!(get(&pair.p.vm), request("doubtful"));
    pair.p.relay.cut(2).unwrap();
    pair.p.relay.resume_ingress().unwrap();
    pair.finish(2);
    assert_eq!(get(&pair.s.vm), request("doubtful"));
    quiet(&pair.s.vm);
}

#[test]
fn what_the_vm_has_read_before_a_cut_is_not_told_again() {
    let pair = protected();
    for number in 0..50 {
        let frame = request(&format!("{number}"));
        put(&pair.p.uplink, &frame);
        assert_eq!(get(&pair.p.vm), frame);
        assert_eq!(get(&pair.s.vm), frame);
    }
    pair.checkpoint(2);
    quiet(&pair.s.vm);
}

#[test]
fn the_first_secondary_hears_what_the_vm_has_not_read_either() {
    let pair = linked();
    pair.p.relay.alone().unwrap();
    put(&pair.p.uplink, &request("of the time of booting"));
    pair.p.await_stat("frames_in", |frames| frames == 1);
    pair.s
        .relay
        .begin_secondary(std::sync::Arc::clone(&pair.replica))
        .unwrap();
    assert!(!pair.p.relay.pause_ingress(QUIET).unwrap());
    pair.p.relay.cut(1).unwrap();
    pair.p.relay.resume_ingress().unwrap();
    pair.finish(1);
    assert_eq!(get(&pair.p.vm), request("of the time of booting"));
    assert_eq!(get(&pair.s.vm), request("of the time of booting"));
}

#[test]
fn what_waits_for_a_slow_vm_comes_after_the_cut_on_both_sides() {
    let pair = protected();
    let frames = backlog();
    frames.iter().for_each(|frame| put(&pair.p.uplink, frame));
    pair.p.await_stat("frames_in", |count| count == BACKLOG as u64);
    assert!(!pair.p.relay.pause_ingress(QUIET).unwrap());
    pair.p_then_s();
    let before = get_all(&pair.s.vm);
    assert!(!before.is_empty() && before.len() < BACKLOG);
    assert_eq!(before, frames.get(..before.len()).unwrap());
    pair.p.relay.cut(2).unwrap();
    pair.p.relay.resume_ingress().unwrap();
    pair.finish(2);
    for frame in &frames {
        assert_eq!(&get(&pair.p.vm), frame);
        assert_eq!(&get(&pair.s.vm), frame);
    }
}

#[test]
fn a_pause_ends_when_the_vm_has_asked_for_one_frame_more_than_it_was_sent() {
    let pair = protected();
    let frames = backlog();
    frames.iter().for_each(|frame| put(&pair.p.uplink, frame));
    pair.p.await_stat("frames_in", |count| count == BACKLOG as u64);
    let asking = Barrier::new(2);
    let before = thread::scope(|scope| {
        let pause = scope.spawn(|| {
            asking.wait();
            pair.p.relay.pause_ingress(PATIENCE).unwrap()
        });
        asking.wait(); // a VM that reads before would have read everything
        let mut before = Vec::new();
        while !pause.is_finished() {
            before.extend(get_all(&pair.p.vm));
        }
        assert!(pause.join().unwrap());
        before
    });
    assert!(before.len() < BACKLOG);
    pair.p_then_s();
    assert_eq!(get_all(&pair.s.vm), before);
    quiet(&pair.p.vm);
    pair.p.relay.cut(2).unwrap();
    pair.p.relay.resume_ingress().unwrap();
    pair.finish(2);
    for frame in frames.iter().skip(before.len()) {
        assert_eq!(&get(&pair.p.vm), frame);
        assert_eq!(&get(&pair.s.vm), frame);
    }
    quiet(&pair.s.vm);
}
