//! One side goes away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_packet::build::{Segment, tcp};
use colo_packet::flag;
use colo_relay::{Event, boottime_ns};
use common::*;
use std::os::fd::AsFd;

#[test]
fn a_lost_link_is_told_and_nothing_more_is_released() {
    let pair = protected();
    put(&pair.p.vm, &answer("held"));
    pair.s.relay.stop();
    pair.p.link_down();
    quiet(&pair.p.uplink);
    put(&pair.p.uplink, &request("still served"));
    assert_eq!(get(&pair.p.vm), request("still served"));
}

#[test]
fn a_primary_left_alone_releases_what_it_held_and_goes_on() {
    let pair = protected();
    put(&pair.p.vm, &answer("held"));
    pair.s.relay.stop();
    pair.p.link_down();
    pair.p.relay.alone().unwrap();
    assert_eq!(get(&pair.p.uplink), answer("held"));
    put(&pair.p.vm, &answer("at once"));
    assert_eq!(get(&pair.p.uplink), answer("at once"));
}

#[test]
fn a_promoted_secondary_says_again_what_it_said_last_and_serves() {
    let pair = protected();
    put(&pair.p.uplink, &request("a question"));
    assert_eq!(get(&pair.s.vm), request("a question"));
    pair.p.relay.stop();
    pair.s.link_down();
    put(&pair.s.vm, &answer("an answer"));
    pair.s.await_stat("vm_frames", |frames| frames > 0);
    pair.s.relay.promote().unwrap();
    quiet(&pair.s.uplink);
    pair.s.relay.gate(boottime_ns() + 60_000_000_000);
    assert_eq!(get(&pair.s.uplink), answer("an answer"));
    put(&pair.s.uplink, &request("another"));
    assert_eq!(get(&pair.s.vm), request("another"));
    put(&pair.s.vm, &answer("at once"));
    assert_eq!(get(&pair.s.uplink), answer("at once"));
    let addresses = pair.s.relay.guest_addresses(0).unwrap();
    assert_eq!(addresses.first().unwrap().1, "10.0.0.2");
}

#[test]
fn frames_after_a_cut_that_never_became_whole_are_not_lost() {
    for promote in [false, true] {
        let pair = protected();
        pair.p.relay.cut(2).unwrap();
        put(&pair.p.uplink, &request("after"));
        assert_eq!(get(&pair.p.vm), request("after"));
        pair.p_then_s();
        quiet(&pair.s.vm);
        pair.p.relay.stop();
        pair.s.link_down();
        if promote {
            pair.s.relay.promote().unwrap()
        } else {
            pair.s.relay.forget_cut().unwrap()
        }
        assert_eq!(get(&pair.s.vm), request("after"));
    }
}

#[test]
fn a_deposed_primary_is_not_listened_to() {
    let pair = protected();
    pair.s.relay.promote().unwrap();
    put(&pair.p.uplink, &request("old"));
    assert_eq!(get(&pair.p.vm), request("old"));
    pair.p_then_s();
    quiet(&pair.s.vm);
    assert_eq!(pair.s.stat("ignored"), 1);
}

#[test]
fn a_survivor_is_protected_again_over_a_new_link() {
    let mut pair = protected();
    pair.s.relay.stop();
    pair.p.link_down();
    pair.p.relay.alone().unwrap();
    pair.s = Side::new(config());
    pair.link();
    pair.s.relay.begin_secondary(pair.replica.clone()).unwrap();
    put(&pair.p.uplink, &request("not for the new one yet"));
    pair.p_then_s();
    assert_eq!(get(&pair.p.vm), request("not for the new one yet"));
    // The numbers begin anew with the pairing.
    pair.checkpoint(1);
    quiet(&pair.s.vm);
    put(&pair.p.vm, &answer("compared"));
    quiet(&pair.p.uplink);
    put(&pair.s.vm, &answer("compared"));
    assert_eq!(get(&pair.p.uplink), answer("compared"));
}

#[test]
fn closed_means_nothing_in_and_nothing_out() {
    let pair = protected();
    put(&pair.p.vm, &answer("held"));
    pair.p.relay.close().unwrap();
    put(&pair.p.vm, &answer("said"));
    put(&pair.p.uplink, &request("asked"));
    quiet(&pair.p.vm);
    quiet(&pair.p.uplink);
    pair.p.relay.alone().unwrap();
    quiet(&pair.p.uplink);
}

#[test]
fn a_peer_that_hangs_is_silent() {
    let ca = colo_link::testing::TestCa::new().unwrap();
    let side = Side::new(config());
    let _peer = FakePeer::connect(&side, &ca);
    side.event(|event| matches!(event, Event::LinkUp { .. }).then_some(()));
    side.event(|event| matches!(event, Event::Silent { ms } if *ms >= 400).then_some(()));
}

#[test]
fn a_new_link_alone_makes_no_new_pairing() {
    let pair = protected();
    let (to_s, to_p) = tcp_pair();
    pair.p
        .relay
        .attach_link(to_s.as_fd(), &pair.ca.node("alpha").unwrap(), "beta", false)
        .unwrap();
    pair.s
        .relay
        .attach_link(to_p.as_fd(), &pair.ca.node("beta").unwrap(), "alpha", true)
        .unwrap();
    pair.p
        .event(|event| matches!(event, Event::LinkUp { .. }).then_some(()));
    assert!(
        pair.p
            .relay
            .cut(2)
            .unwrap_err()
            .to_string()
            .contains("begins alone")
    );
}

/// A segment of the connection that the tests of translation follow.
fn segment(flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    tcp(
        route(),
        &Segment {
            seq,
            ack: 1001,
            flags: flags | flag::ACK,
            window: 9,
            payload,
            ..Segment::default()
        },
    )
}

/// The client's acknowledgement.
fn client_ack(ack: u32) -> Vec<u8> {
    tcp(
        route().reversed(),
        &Segment {
            seq: 1001,
            ack,
            flags: flag::ACK,
            window: 9,
            ..Segment::default()
        },
    )
}

/// The primary dies, the secondary takes over, and is protected again by a new host.
fn fail_over(pair: Pair) -> Pair {
    let Pair {
        ca,
        p,
        s,
        ram,
        replica,
    } = pair;
    p.relay.stop();
    s.link_down();
    s.relay.promote().unwrap();
    s.open_gate();
    let pair = Pair {
        ca,
        p: s,
        s: Side::new(config()),
        ram,
        replica,
    };
    pair.link();
    pair.s.relay.begin_secondary(pair.replica.clone()).unwrap();
    pair
}

#[test]
fn a_connection_keeps_its_numbers_through_two_failovers_without_a_checkpoint_since_its_beginning() {
    let pair = protected();
    put(&pair.p.vm, &segment(flag::SYN, 5000, b""));
    put(&pair.s.vm, &segment(flag::SYN, 7000, b""));
    assert_eq!(get(&pair.p.uplink), segment(flag::SYN, 5000, b""));

    let pair = fail_over(pair);
    assert_eq!(get(&pair.p.uplink), segment(flag::SYN, 5000, b""), "said again");
    put(&pair.p.vm, &segment(0, 7001, b"alone"));
    assert_eq!(get(&pair.p.uplink), segment(0, 5001, b"alone"));
    pair.checkpoint(1);
    assert_eq!(pair.s.stat("translated"), 1);
    put(&pair.p.uplink, &client_ack(5006));
    assert_eq!(get(&pair.p.vm), client_ack(7006));
    assert_eq!(get(&pair.s.vm), client_ack(7006));
    put(&pair.p.vm, &segment(0, 7006, b"both"));
    put(&pair.s.vm, &segment(0, 7006, b"both"));
    assert_eq!(get(&pair.p.uplink), segment(0, 5006, b"both"));

    let pair = fail_over(pair);
    assert_eq!(get(&pair.p.uplink), segment(0, 5006, b"both"), "said again");
    put(&pair.p.vm, &segment(0, 7010, b"alone again"));
    assert_eq!(get(&pair.p.uplink), segment(0, 5010, b"alone again"));
    put(&pair.p.uplink, &client_ack(5021));
    assert_eq!(get(&pair.p.vm), client_ack(7021));
    pair.checkpoint(1);
    assert_eq!(pair.s.stat("translated"), 1, "and on to the next");
}

#[test]
fn connections_of_every_epoch_are_handed_on_and_those_replaced_are_not() {
    let pair = protected();
    put(&pair.p.vm, &segment(flag::SYN, 5000, b""));
    put(&pair.s.vm, &segment(flag::SYN, 7000, b""));
    get(&pair.p.uplink);
    let pair = fail_over(pair);
    get(&pair.p.uplink);
    pair.checkpoint(1);
    assert_eq!(pair.s.stat("translated"), 1);
    // The same ports, a new connection: its numbers are the VM's own.
    put(&pair.p.vm, &segment(flag::SYN, 100, b""));
    put(&pair.s.vm, &segment(flag::SYN, 200, b""));
    assert_eq!(get(&pair.p.uplink), segment(flag::SYN, 100, b""));
    let pair = fail_over(pair);
    assert_eq!(get(&pair.p.uplink), segment(flag::SYN, 100, b""), "said again");
    put(&pair.p.vm, &segment(0, 201, b"x"));
    assert_eq!(get(&pair.p.uplink), segment(0, 101, b"x"));
    pair.checkpoint(1);
    put(&pair.p.vm, &segment(flag::SYN, 300, b""));
    put(&pair.s.vm, &segment(flag::SYN, 400, b""));
    assert_eq!(get(&pair.p.uplink), segment(flag::SYN, 300, b""));
    pair.checkpoint(2);
    assert_eq!(pair.s.stat("translated"), 0, "a later cut says so");
}

/// The SVM is stopped, the checkpoint only stored.
fn rest(pair: &Pair, number: u64) {
    pair.p.relay.cut(number).unwrap();
    store(pair, number);
}

fn store(pair: &Pair, number: u64) {
    pair.p_then_s();
    pair.p.relay.commit(number).unwrap();
    pair.s.relay.svm_stopped().unwrap();
    pair.s.relay.stored(number).unwrap();
}

fn ask(pair: &Pair, text: &str) {
    put(&pair.p.uplink, &request(text));
    assert_eq!(get(&pair.p.vm), request(text));
}

#[test]
fn an_svm_that_rests_hears_nothing_and_answers_go_with_the_commit() {
    let pair = protected();
    rest(&pair, 2);
    ask(&pair, "of epoch 3");
    put(&pair.p.vm, &answer("of epoch 3"));
    quiet(&pair.p.uplink);
    pair.p.relay.cut(3).unwrap();
    put(&pair.p.vm, &answer("of epoch 4"));
    store(&pair, 3);
    assert_eq!(get(&pair.p.uplink), answer("of epoch 3"));
    quiet(&pair.p.uplink);
    quiet(&pair.s.vm);
}

#[test]
fn what_came_in_since_the_last_stored_cut_goes_to_the_svm_that_takes_over() {
    for whole in [false, true] {
        let pair = protected();
        rest(&pair, 2);
        ask(&pair, "in checkpoint 3");
        pair.p.relay.cut(3).unwrap();
        ask(&pair, "after it");
        if whole {
            store(&pair, 3);
        } else {
            pair.p_then_s();
        }
        pair.p.relay.stop();
        pair.s.link_down();
        pair.s.relay.enter_epoch(if whole { 4 } else { 3 }).unwrap();
        pair.s.relay.deliver().unwrap();
        pair.s.relay.promote().unwrap();
        if !whole {
            assert_eq!(get(&pair.s.vm), request("in checkpoint 3"));
        }
        assert_eq!(get(&pair.s.vm), request("after it"));
        quiet(&pair.s.vm);
    }
}

#[test]
fn an_svm_that_wakes_agrees_again() {
    let pair = protected();
    rest(&pair, 2);
    ask(&pair, "slept through");
    rest(&pair, 3);
    ask(&pair, "slept through too");
    pair.p.relay.cut(4).unwrap();
    ask(&pair, "after the last cut");
    store(&pair, 4);
    pair.s.relay.enter_epoch(5).unwrap();
    pair.s.relay.deliver().unwrap();
    pair.p.relay.loaded(4).unwrap();
    assert_eq!(get(&pair.s.vm), request("after the last cut"));
    put(&pair.p.vm, &answer("both"));
    quiet(&pair.p.uplink);
    put(&pair.s.vm, &answer("both"));
    assert_eq!(get(&pair.p.uplink), answer("both"));
    ask(&pair, "fed as before");
    assert_eq!(get(&pair.s.vm), request("fed as before"));
}

#[test]
fn a_second_cut_before_the_first_is_stored_ends_the_link() {
    let pair = protected();
    rest(&pair, 2);
    pair.p.relay.cut(3).unwrap();
    pair.p.relay.cut(4).unwrap();
    assert!(pair.s.link_down().contains("another is outstanding"));
}
