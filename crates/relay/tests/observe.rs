//! What can be looked at after a divergence.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use colo_compare::Difference;
use colo_relay::Event;
use common::*;

/// The two answer differently, and the agent is told.
fn diverge(pair: &Pair) {
    put(&pair.p.vm, &answer("yes"));
    put(&pair.s.vm, &answer("noo"));
    pair.p
        .event(|event| matches!(event, Event::Divergence { .. }).then_some(()));
}

fn contains(file: &[u8], part: &[u8]) -> bool {
    file.windows(part.len()).any(|window| window == part)
}

#[test]
fn divergences_of_earlier_pairings_are_remembered() {
    let pair = protected();
    for number in 2..4 {
        diverge(&pair);
        pair.checkpoint(number);
    }
    pair.p.relay.alone().unwrap();
    pair.p.relay.close().unwrap();
    let (counts, last) = pair.p.relay.divergences(1).unwrap();
    assert!(counts.contains(&(Difference::Message, 2)));
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].epoch, last[0].secondary.as_slice()), (3, &b"noo"[..]));
    assert!(pair.s.relay.divergences(256).unwrap().1.is_empty());
}

#[test]
fn a_capture_has_the_frames_of_all_three_and_begins_anew() {
    let pair = protected();
    pair.p.relay.capture(1 << 20).unwrap();
    put(&pair.p.uplink, &request("question"));
    assert_eq!(get(&pair.p.vm), request("question"));
    diverge(&pair);
    let file = pair.p.relay.captured("why").unwrap();
    for part in [
        request("question"),
        answer("yes"),
        answer("noo"),
        b"epoch 2; noticed here".to_vec(),
        b"why".to_vec(),
    ] {
        assert!(contains(&file, &part));
    }
    pair.checkpoint(2);
    diverge(&pair);
    let file = pair.p.relay.captured("").unwrap();
    assert!(contains(&file, &answer("noo")));
    assert!(!contains(&file, &request("question")));
}

#[test]
fn without_a_capture_there_is_nothing_to_take() {
    let pair = protected();
    assert!(pair.p.relay.captured("").is_err());
}

#[test]
fn nothing_is_kept_while_the_vm_is_alone() {
    let side = Side::new(config());
    side.relay.capture(1 << 20).unwrap();
    side.open_gate();
    side.relay.alone().unwrap();
    put(&side.vm, &answer("private"));
    assert_eq!(get(&side.uplink), answer("private"));
    assert!(!contains(&side.relay.captured("").unwrap(), &answer("private")));
}
