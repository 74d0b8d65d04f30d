//! What peers, VMs and clients must not be able to do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_link::testing::TestCa;
use colo_link::{MAX_FRAME, Message};
use colo_packet::build::{Segment, tcp};
use colo_packet::flag;
use colo_ram::{BulkSource, Encoder, Lz4, PageSet, Replica, Staging, Tally};
use colo_relay::Event;
use common::*;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;

#[test]
fn a_garbage_length_closes_the_vm_socket_or_the_uplink_and_only_that() {
    for length in [0_u32, MAX_FRAME as u32 + 1, u32::MAX] {
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

/// Pages without end.
struct Endless;

impl BulkSource for Endless {
    fn checkpoint(&self) -> u64 {
        0
    }

    fn next(&mut self, out: &mut Vec<u8>, _: &mut Tally) -> Option<u8> {
        out.resize(out.len() + 60_000, 1);
        Some(colo_ram::PAGES)
    }
}

#[test]
fn the_last_word_of_a_peer_that_closes_while_much_is_sent_to_it_is_heard() {
    for _ in 0..50 {
        let (side, mut peer) = secondary();
        side.event(|event| matches!(event, Event::LinkUp { .. }).then_some(()));
        side.relay.send_bulk(Endless).unwrap();
        for _ in 0..20 {
            peer.await_message(|message| matches!(message, Message::Pages(_)));
        }
        peer.send(&Message::Control(b"no more"));
        drop(peer); // with much that it has not read: the kernel resets the connection
        side.link_down();
        assert_eq!(side.control(), b"no more");
    }
}

/// What a source has to send.
fn messages(mut source: impl BulkSource) -> Vec<(u8, Vec<u8>)> {
    std::iter::from_fn(|| {
        let mut payload = Vec::new();
        let kind = source.next(&mut payload, &mut Tally::default())?;
        Some((kind, payload))
    })
    .collect()
}

#[test]
fn a_checkpoint_with_one_wrong_bit_is_refused_and_the_last_one_stands() {
    let ca = TestCa::new().unwrap();
    let side = Side::new(config());
    let mut peer = FakePeer::connect(&side, &ca);
    let (pvm, svm) = (guest_ram(), guest_ram());
    let replica = Arc::new(Replica::new(&svm, 16 << 20).unwrap());
    side.relay.begin_secondary(Arc::clone(&replica)).unwrap();
    let (encoder, all) = (Encoder::new(&pvm, true).unwrap(), PageSet::all(RAM_PAGES));
    let mut staging = Staging::new(&pvm, 4 << 20).unwrap();
    let mut send = |messages: &[(u8, Vec<u8>)]| {
        for (kind, payload) in messages {
            peer.send(&Message::parse(*kind, payload).unwrap());
        }
    };

    pvm.write_page(7, &[1; 4096]).unwrap();
    staging.gather(&all).unwrap();
    send(&messages(staging.source(
        1,
        b"one".to_vec(),
        &encoder,
        Lz4::Always,
    )));
    side.event(|event| matches!(event, Event::StateComplete { checkpoint: 1, .. }).then_some(()));
    replica.apply(1, &all).unwrap();
    let whole = (pvm.hash().unwrap(), b"one".to_vec());

    let mut page = [1; 4096];
    page[99] = 2;
    pvm.write_page(7, &page).unwrap();
    staging.gather(&all).unwrap();
    let mut damaged = messages(staging.source(2, b"two".to_vec(), &encoder, Lz4::Always));
    // The last bit of the first message with a page in it: of the word that changed.
    let (_, payload) = damaged
        .iter_mut()
        .find(|(_, payload)| payload.len() > 10)
        .unwrap();
    *payload.last_mut().unwrap() ^= 1;
    send(&damaged);
    let why = side.event(|event| match event {
        Event::StateDamaged { checkpoint: 2, why } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why, "wrong checksum");
    assert!(replica.apply(2, &all).is_err());
    let stands = (replica.cache_hash().unwrap(), replica.device(1).unwrap());
    assert_eq!(stands, whole);
    assert_eq!(replica.ram_hash().unwrap(), whole.0);
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
