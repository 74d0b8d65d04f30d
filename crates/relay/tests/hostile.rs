//! What peers, VMs and clients must not be able to do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_link::Message;
use colo_link::testing::TestCa;
use colo_packet::build::{Segment, tcp};
use colo_packet::flag;
use colo_relay::Event;
use common::*;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;

#[test]
fn a_garbage_length_closes_the_vm_socket_or_the_uplink_and_only_that() {
    for length in [0_u32, 65_551, u32::MAX] {
        let pair = protected();
        (&pair.p.vm).write_all(&length.to_be_bytes()).unwrap();
        pair.p
            .event(|event| (*event == Event::VmClosed { nic: 0 }).then_some(()));
        (&pair.p.uplink).write_all(&length.to_be_bytes()).unwrap();
        pair.p
            .event(|event| (*event == Event::UplinkClosed { nic: 0 }).then_some(()));
        pair.p_then_s();
    }
}

#[test]
fn garbage_instead_of_tls_closes_the_link() {
    let ca = TestCa::new().unwrap();
    let side = Side::new(config());
    let (mut peer, ours) = tcp_pair();
    side.relay
        .attach_link(ours.as_fd(), &ca.node("beta").unwrap(), "alpha", true)
        .unwrap();
    peer.write_all(&[0xff; 4096]).unwrap();
    let reason = side.link_down();
    assert!(reason.contains("TLS"), "{reason}");
}

#[test]
fn a_node_with_another_name_never_is_linked() {
    let ca = TestCa::new().unwrap();
    let (p, s) = (Side::new(config()), Side::new(config()));
    let (to_s, to_p) = tcp_pair();
    p.relay
        .attach_link(to_s.as_fd(), &ca.node("gamma").unwrap(), "beta", false)
        .unwrap();
    s.relay
        .attach_link(to_p.as_fd(), &ca.node("beta").unwrap(), "alpha", true)
        .unwrap();
    let reason = s.link_down();
    assert!(reason.contains("not for alpha"), "{reason}");
    p.link_down();
    assert!(
        !p.has_event(|event| matches!(event, Event::LinkUp { .. })),
        "a client, too, learns of the refusal first"
    );
}

/// A side in the role of the secondary, and a primary that the test plays.
fn secondary() -> (Side, FakePeer) {
    let ca = TestCa::new().unwrap();
    let side = Side::new(config());
    let peer = FakePeer::connect(&side, &ca);
    let replica = colo_ram::Replica::new(&guest_ram(), 1 << 20).unwrap();
    side.relay.begin_secondary(Arc::new(replica)).unwrap();
    (side, peer)
}

#[test]
fn offences_close_the_link_and_say_why() {
    let two_cuts = [Message::Cut { checkpoint: 1 }, Message::Cut { checkpoint: 2 }];
    let cases: [(&[Message<'_>], &str); 4] = [
        (&two_cuts, "a cut while another is outstanding"),
        (
            &[Message::FrameIn {
                nic: 1,
                frame: &[0; 60],
            }],
            "network card that is not there",
        ),
        (
            &[
                Message::Cut { checkpoint: 1 },
                Message::Isn {
                    nic: 0,
                    flow: &[9; 5],
                    isn: 1,
                },
            ],
            "flow key",
        ),
        (&[Message::FrameIn { nic: 0, frame: &[] }], "cannot have 1 bytes"),
    ];
    for (messages, expected) in cases {
        let (side, mut peer) = secondary();
        messages.iter().for_each(|message| peer.send(message));
        let reason = side.link_down();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn damaged_state_is_told_and_the_link_lives() {
    let (side, mut peer) = secondary();
    peer.send(&Message::Pages(&[1, 2, 3]));
    side.event(|event| matches!(event, Event::StateDamaged { .. }).then_some(()));
    peer.send(&Message::Control(b"alive"));
    assert_eq!(side.control(), b"alive");
}

#[test]
fn an_agent_that_reads_no_events_loses_the_link_not_memory() {
    let (side, mut peer) = secondary();
    for _ in 0..5000 {
        peer.send(&Message::Control(b"flood"));
    }
    side.await_stat("link_up", |up| up == 0);
    let reason = side.link_down();
    assert!(reason.contains("does not read its events"), "{reason}");
}

#[test]
fn a_client_never_sees_a_connection_whose_numbers_the_secondary_does_not_know() {
    let ca = TestCa::new().unwrap();
    let side = Side::new(config());
    let mut peer = FakePeer::connect(&side, &ca);
    side.event(|event| matches!(event, Event::LinkUp { .. }).then_some(()));
    side.open_gate();
    side.relay.alone().unwrap();
    side.relay.cut(1).unwrap();
    side.relay.commit(1).unwrap();
    side.relay.loaded(1).unwrap();
    let accept = |seq| {
        tcp(
            route(),
            &Segment {
                seq,
                ack: 1001,
                flags: flag::SYN | flag::ACK,
                window: 9,
                ..Segment::default()
            },
        )
    };
    put(&side.vm, &accept(5000));
    peer.await_message(|message| matches!(message, Message::Isn { isn: 5000, .. }));
    peer.send(&Message::FrameOut {
        nic: 0,
        epoch: 2,
        frame: &accept(7000),
    });
    quiet(&side.uplink);
    peer.send(&Message::IsnAck { count: 1 });
    assert_eq!(get(&side.uplink), accept(5000));
}
