//! Two relays in lock-step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_link::testing::TestCa;
use colo_packet::build::{Segment, tcp};
use colo_packet::flag;
use colo_ram::{Lz4, PageSet};
use colo_relay::Event;
use common::*;
use std::io::Write;
use std::os::fd::AsFd;

#[test]
fn an_input_frame_reaches_both_vms_in_the_same_order() {
    let pair = protected();
    let frames: Vec<_> = (0..500)
        .map(|number| request(&format!("request {number}")))
        .collect();
    frames.iter().for_each(|frame| put(&pair.p.uplink, frame));
    for frame in &frames {
        assert_eq!(&get(&pair.p.vm), frame);
        assert_eq!(&get(&pair.s.vm), frame);
    }
}

#[test]
fn equal_answers_go_out_once() {
    let pair = protected();
    put(&pair.p.vm, &answer("yes"));
    quiet(&pair.p.uplink);
    put(&pair.s.vm, &answer("yes"));
    assert_eq!(get(&pair.p.uplink), answer("yes"));
    quiet(&pair.p.uplink);
    quiet(&pair.s.uplink);
}

#[test]
fn a_different_answer_waits_for_the_commit() {
    let pair = protected();
    put(&pair.p.vm, &answer("yes"));
    put(&pair.s.vm, &answer("noo"));
    pair.p
        .event(|event| matches!(event, Event::Divergence { nic: 0, .. }).then_some(()));
    quiet(&pair.p.uplink);
    pair.checkpoint(2);
    assert_eq!(get(&pair.p.uplink), answer("yes"));
    quiet(&pair.p.uplink);
}

/// An answer is held behind a cut, and the primary commits when it hears "received 2".
fn awaiting_received_2() -> Pair {
    let pair = protected();
    put(&pair.p.vm, &answer("yes"));
    pair.p.await_stat("held_frames", |held| held == 1);
    pair.cut(2);
    pair.p.relay.commit_when(2, b"received 2".to_vec()).unwrap();
    pair
}

#[test]
fn a_commit_that_waits_for_the_peers_word_needs_no_agent() {
    let pair = awaiting_received_2();
    for other in ["received", "received 1", "received 22"] {
        pair.s.relay.send(other.into()).unwrap();
        assert_eq!(pair.p.control(), other.as_bytes());
    }
    quiet(&pair.p.uplink);
    pair.s.relay.send(b"received 2".to_vec()).unwrap();
    assert_eq!(get(&pair.p.uplink), answer("yes"));
    assert_eq!(pair.p.control(), b"received 2");
}

#[test]
fn what_a_lost_peer_was_to_say_commits_nothing_when_the_next_one_says_it() {
    let pair = awaiting_received_2();
    pair.link();
    pair.s.relay.send(b"received 2".to_vec()).unwrap();
    assert_eq!(pair.p.control(), b"received 2");
    quiet(&pair.p.uplink);
}

#[test]
fn output_that_waits_is_told_once_per_epoch_while_it_is_asked_for() {
    let told = |event: &Event| match event {
        Event::Output { epoch, .. } => Some(*epoch),
        _ => None,
    };
    let pair = protected();
    put(&pair.p.vm, &answer("before"));
    pair.p.await_stat("held_frames", |held| held == 1);
    pair.p.relay.watch_output(true).unwrap();
    assert_eq!(pair.p.event(told), 2);
    put(&pair.p.vm, &answer("more"));
    pair.p.await_stat("held_frames", |held| held == 2);
    pair.checkpoint(2);
    put(&pair.p.vm, &answer("after"));
    assert_eq!(pair.p.event(told), 3);
    pair.p.relay.watch_output(false).unwrap();
    pair.checkpoint(3);
    put(&pair.p.vm, &answer("unasked"));
    pair.p.await_stat("held_frames", |held| held == 1);
    assert!(!pair.p.has_event(|event| told(event).is_some()));
}

#[test]
fn output_that_only_acknowledges_is_told_as_such_and_more_than_that_once_more() {
    let told = |event: &Event| match event {
        Event::Output { epoch, only_acks } => Some((*epoch, *only_acks)),
        _ => None,
    };
    let segment = |seq, flags, payload| {
        tcp(
            route(),
            &Segment {
                seq,
                flags,
                payload,
                ..Segment::default()
            },
        )
    };
    let pair = protected();
    pair.p.relay.watch_output(true).unwrap();
    put(&pair.p.vm, &segment(0, flag::SYN, b""));
    assert_eq!(pair.p.event(told), (2, false));
    pair.checkpoint(2);
    for _ in 0..2 {
        put(&pair.p.vm, &segment(1, flag::ACK, b""));
    }
    assert_eq!(pair.p.event(told), (3, true));
    put(&pair.p.vm, &segment(1, flag::ACK, b"page"));
    assert_eq!(pair.p.event(told), (3, false));
    pair.checkpoint(3);
    put(&pair.p.vm, &segment(5, flag::FIN | flag::ACK, b""));
    assert_eq!(pair.p.event(told), (4, false));
}

#[test]
fn what_the_secondary_says_never_reaches_its_own_uplink() {
    let pair = protected();
    pair.s.open_gate();
    put(&pair.s.vm, &answer("yes"));
    put(&pair.s.uplink, &request("to the wrong host"));
    quiet(&pair.s.uplink);
    quiet(&pair.s.vm);
}

#[test]
fn frames_after_the_cut_wait_for_the_loaded_vm() {
    let pair = protected();
    put(&pair.p.uplink, &request("before"));
    assert_eq!(get(&pair.p.vm), request("before"));
    assert_eq!(get(&pair.s.vm), request("before"));
    assert!(pair.p.relay.pause_ingress(PATIENCE).unwrap());
    put(&pair.p.uplink, &request("after"));
    quiet(&pair.p.vm);
    pair.p.relay.cut(2).unwrap();
    pair.p.relay.resume_ingress().unwrap();
    assert_eq!(get(&pair.p.vm), request("after"));
    quiet(&pair.s.vm);
    pair.finish(2);
    assert_eq!(get(&pair.s.vm), request("after"));
}

#[test]
fn a_cut_takes_in_what_the_stopped_vm_has_said() {
    let pair = protected();
    let answers: Vec<_> = (0..100)
        .map(|number| answer(&format!("answer {number}")))
        .collect();
    answers.iter().for_each(|frame| put(&pair.p.vm, frame));
    pair.p.relay.cut(2).unwrap();
    put(&pair.p.vm, &answer("of the next epoch"));
    pair.finish(2);
    for frame in &answers {
        assert_eq!(&get(&pair.p.uplink), frame);
    }
    quiet(&pair.p.uplink);
    put(&pair.s.vm, &answer("of the next epoch"));
    assert_eq!(get(&pair.p.uplink), answer("of the next epoch"));
}

#[test]
fn what_a_stopped_secondary_says_is_dropped() {
    let pair = protected();
    put(&pair.p.vm, &answer("late"));
    pair.p.relay.cut(2).unwrap();
    pair.p_then_s();
    pair.s.relay.svm_stopped().unwrap();
    put(&pair.s.vm, &answer("late"));
    pair.s.relay.enter_epoch(3).unwrap();
    pair.s_then_p();
    assert_eq!(pair.s.stat("svm_dropped"), 1);
    quiet(&pair.p.uplink);
}

#[test]
fn pause_says_whether_the_vm_has_read_all() {
    let pair = protected();
    put(&pair.p.uplink, &request("unread"));
    assert_eq!(get(&pair.s.vm), request("unread"));
    assert!(!pair.p.relay.pause_ingress(QUIET).unwrap());
    assert_eq!(get(&pair.p.vm), request("unread"));
    assert!(pair.p.relay.pause_ingress(QUIET).unwrap());
}

#[test]
fn a_vm_that_does_not_read_makes_both_miss_the_same_frames() {
    let pair = protected();
    let frame = request(&"x".repeat(60_000));
    for _ in 0..300 {
        put(&pair.p.uplink, &frame);
    }
    pair.p.uplink.set_write_timeout(Some(PATIENCE)).unwrap();
    put(&pair.p.uplink, &request("last"));
    let mut received = 0;
    pair.p.await_stat("frames_in", |frames| frames == 301);
    let dropped = pair.p.stat("ingress_dropped");
    assert!(dropped > 0);
    for _ in 0..301 - dropped {
        assert_eq!(get(&pair.p.vm), get(&pair.s.vm));
        received += 1;
    }
    assert_eq!(received + dropped, 301);
    quiet(&pair.p.vm);
    quiet(&pair.s.vm);
}

#[test]
fn state_arrives_whole_while_frames_overtake_it() {
    let pair = protected();
    for page in 0..RAM_PAGES {
        let mut content = [page as u8 | 1; 4096]; // no page is another one
        content[..8].copy_from_slice(&page.to_le_bytes());
        pair.ram.write_page(page, &content).unwrap();
    }
    let encoder = colo_ram::Encoder::new(&pair.ram, true).unwrap();
    let all = PageSet::all(RAM_PAGES);
    let source = colo_ram::LivePages::new(pair.ram.clone(), &all, &encoder, Lz4::Never);
    let replica = colo_ram::Replica::new(&guest_ram(), 64 << 20).unwrap();
    pair.s
        .relay
        .begin_secondary(std::sync::Arc::new(replica))
        .unwrap();
    pair.p.relay.send_bulk(source).unwrap();
    let tally = pair.p.sent(0);
    assert_eq!((tally.pages(), tally.raw), (RAM_PAGES, RAM_PAGES));
    assert!(tally.sent_bytes > RAM_PAGES * 4096);
    for page in 0..RAM_PAGES {
        pair.ram.write_page(page, &[!page as u8; 4096]).unwrap();
    }

    pair.p.relay.cut(2).unwrap();
    let mut staging = colo_ram::Staging::new(&pair.ram, 64 << 20).unwrap();
    staging.gather(&all).unwrap();
    pair.p
        .relay
        .send_bulk(staging.source(2, vec![7; 1_000_000], &encoder, Lz4::Always))
        .unwrap();
    pair.p.relay.send(b"overtakes".to_vec()).unwrap();
    assert_eq!(pair.s.control(), b"overtakes");
    pair.s.event(|event| {
        matches!(
            event,
            Event::StateComplete {
                checkpoint: 2,
                pages: RAM_PAGES,
                ..
            }
        )
        .then_some(())
    });
}

#[test]
fn control_messages_keep_their_order_in_both_directions() {
    let pair = linked();
    for number in 0..200_u8 {
        pair.p.relay.send(vec![number; 1000]).unwrap();
        pair.s.relay.send(vec![number]).unwrap();
    }
    for number in 0..200_u8 {
        assert_eq!(pair.s.control(), vec![number; 1000]);
        assert_eq!(pair.p.control(), vec![number]);
    }
}

#[test]
fn what_is_said_before_the_link_stands_is_the_first_that_is_heard() {
    let (ca, p, s) = (TestCa::new().unwrap(), Side::new(config()), Side::new(config()));
    let (to_s, to_p) = tcp_pair();
    let [alpha, beta] = ["alpha", "beta"].map(|name| ca.node(name).unwrap());
    p.relay.attach_link(to_s.as_fd(), &alpha, "beta", false).unwrap();
    p.relay.send(b"hello".to_vec()).unwrap();
    s.relay.attach_link(to_p.as_fd(), &beta, "alpha", true).unwrap();
    s.event(|event| matches!(event, Event::LinkUp { .. }).then_some(()));
    assert_eq!(s.control(), b"hello");
}

#[test]
fn the_gate_lets_frames_out_only_while_it_is_open() {
    let pair = linked();
    pair.p.relay.alone().unwrap();
    pair.p.relay.gate(0);
    pair.p.event(|event| (*event == Event::GateClosed).then_some(()));
    put(&pair.p.vm, &answer("waits"));
    pair.p.relay.inject(0, answer("injected")).unwrap();
    quiet(&pair.p.uplink);
    pair.p.relay.gate(colo_relay::boottime_ns() + 300_000_000);
    let mut both = [get(&pair.p.uplink), get(&pair.p.uplink)];
    both.sort();
    assert_eq!(
        both,
        [
            answer("waits").min(answer("injected")),
            answer("waits").max(answer("injected"))
        ]
    );
    pair.p.event(|event| (*event == Event::GateClosed).then_some(()));
    put(&pair.p.vm, &answer("too late"));
    quiet(&pair.p.uplink);
}

#[test]
fn an_agent_that_stalls_is_told_apart_from_one_that_is_gone() {
    let ca = colo_link::testing::TestCa::new().unwrap();
    let quick = colo_relay::Config {
        stall_timeout_ms: 100,
        ..config()
    };
    let (p, s) = (Side::new(quick), Side::new(quick));
    let (to_s, to_p) = tcp_pair();
    p.relay
        .attach_link(to_s.as_fd(), &ca.node("alpha").unwrap(), "beta", false)
        .unwrap();
    s.relay
        .attach_link(to_p.as_fd(), &ca.node("beta").unwrap(), "alpha", true)
        .unwrap();
    let stalled = |event: &Event| matches!(event, Event::Stalled { ms } if *ms >= 100).then_some(());
    p.event(stalled);
    s.relay.progress();
    p.event(stalled);
    assert!(!p.has_event(|event| matches!(event, Event::Silent { .. })));
}

#[test]
fn everything_is_refused_after_stop_and_by_the_wrong_role() {
    let side = Side::new(config());
    assert!(side.relay.cut(1).is_err());
    assert!(side.relay.promote().is_err());
    assert!(side.relay.svm_stopped().is_err());
    assert!(side.relay.attach_vm(1, side.vm.as_fd()).is_err());
    assert!(side.relay.inject(0, vec![0; 70_000]).is_err());
    side.relay.stop();
    side.relay.stop();
    assert!(matches!(side.relay.alone(), Err(colo_relay::Error::Stopped)));
    (&side.vm)
        .write_all(&[0])
        .expect_err("its descriptors are closed");
}
