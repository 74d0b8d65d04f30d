//! A card with offloads: virtio's header goes with each frame, from end to end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_packet::build::{Segment, tcp};
use colo_packet::{Offload, flag};
use colo_relay::{Config, Relay, UplinkKind};
use common::*;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// To be cut into segments of 1448 bytes, with sums to be completed.
const CUT: [u8; Offload::LEN] = [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0];
const SUM_LATER: [u8; Offload::LEN] = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0];
const WHOLE: [u8; Offload::LEN] = [0; Offload::LEN];
/// Where the TCP checksum is.
const CHECKSUM: std::ops::Range<usize> = 50..52;

fn pair() -> Pair {
    protected_as(linked_as(Side::with_offloads(), Side::with_offloads()))
}

fn put_raw(mut socket: &UnixStream, header: [u8; Offload::LEN], frame: &[u8]) {
    socket.write_all(&[&header, frame].concat()).unwrap();
}

fn get_raw(mut socket: &UnixStream) -> ([u8; Offload::LEN], Vec<u8>) {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = vec![0; 70_000];
    let count = socket.read(&mut bytes).unwrap();
    let (header, frame) = bytes[..count].split_first_chunk().unwrap();
    (*header, frame.to_vec())
}

fn nothing(mut socket: &UnixStream) {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(QUIET)).unwrap();
    assert!(socket.read(&mut [0; 100]).is_err());
}

/// Of the guest; its checksum is that of the pseudo header, as far as a test can tell.
fn segment(flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        seq,
        ack: 1001,
        flags: flags | flag::ACK,
        window: 9,
        payload,
        ..Segment::default()
    };
    partial(tcp(route(), &segment))
}

/// Of the client.
fn client_ack(ack: u32) -> Vec<u8> {
    let segment = Segment {
        seq: 1001,
        ack,
        flags: flag::ACK,
        window: 9,
        ..Segment::default()
    };
    partial(tcp(route().reversed(), &segment))
}

fn partial(mut frame: Vec<u8>) -> Vec<u8> {
    frame[CHECKSUM].copy_from_slice(&[0x12, 0x34]);
    frame
}

#[test]
fn an_input_frame_reaches_both_vms_with_its_header() {
    let pair = pair();
    let long = partial(tcp(
        route().reversed(),
        &Segment {
            flags: flag::ACK,
            payload: &[3; 60_000],
            ..Segment::default()
        },
    ));
    put_raw(&pair.p.uplink, CUT, &long);
    put_raw(&pair.p.uplink, WHOLE, &request("short"));
    for vm in [&pair.p.vm, &pair.s.vm] {
        assert_eq!(get_raw(vm), (CUT, long.clone()));
        assert_eq!(get_raw(vm), (WHOLE, request("short")));
    }
}

#[test]
fn what_both_said_goes_out_as_the_primary_left_it_however_the_secondary_cut_it() {
    let pair = pair();
    let payload: Vec<_> = (0..50_000_u32).map(|byte| byte as u8).collect();
    put_raw(&pair.p.vm, SUM_LATER, &segment(flag::SYN, 999, b""));
    put_raw(&pair.s.vm, SUM_LATER, &segment(flag::SYN, 999, b""));
    assert_eq!(get_raw(&pair.p.uplink), (SUM_LATER, segment(flag::SYN, 999, b"")));
    put_raw(&pair.p.vm, CUT, &segment(0, 1000, &payload));
    nothing(&pair.p.uplink);
    let pieces: Vec<_> = (0..).zip(payload.chunks(20_000)).collect();
    // The last first: a front that is there alone for a millisecond would go alone.
    for (number, piece) in pieces.into_iter().rev() {
        put_raw(&pair.s.vm, CUT, &segment(0, 1000 + number * 20_000, piece));
    }
    assert_eq!(get_raw(&pair.p.uplink), (CUT, segment(0, 1000, &payload)));
}

#[test]
fn a_header_that_does_not_fit_costs_its_frame_only() {
    let pair = pair();
    let mut beyond = SUM_LATER;
    beyond[7] = 0xff;
    put_raw(&pair.p.vm, beyond, &answer("hostile"));
    (&pair.p.vm).write_all(b"short").unwrap();
    put_raw(&pair.p.uplink, beyond, &request("hostile"));
    pair.p.await_stat("bad_headers", |count| count == 3);
    put_raw(&pair.p.vm, WHOLE, &answer("good"));
    put_raw(&pair.s.vm, WHOLE, &answer("good"));
    assert_eq!(get_raw(&pair.p.uplink), (WHOLE, answer("good")));
    nothing(&pair.s.vm);
}

#[test]
fn translated_numbers_leave_a_sum_that_is_to_be_completed_alone() {
    let Pair { p, s, .. } = {
        let pair = pair();
        put_raw(&pair.p.vm, SUM_LATER, &segment(flag::SYN, 5000, b""));
        put_raw(&pair.s.vm, SUM_LATER, &segment(flag::SYN, 7000, b""));
        get_raw(&pair.p.uplink);
        pair
    };
    p.relay.stop();
    s.link_down();
    s.relay.promote().unwrap();
    s.open_gate();
    let again = (SUM_LATER, segment(flag::SYN, 5000, b""));
    assert_eq!(get_raw(&s.uplink), again, "said again");
    put_raw(&s.vm, CUT, &segment(0, 7001, &[1; 4000]));
    assert_eq!(get_raw(&s.uplink), (CUT, segment(0, 5001, &[1; 4000])));
    put_raw(&s.uplink, SUM_LATER, &client_ack(9001));
    assert_eq!(get_raw(&s.vm), (SUM_LATER, client_ack(11_001)));
}

#[test]
fn what_a_stopped_secondary_has_not_read_is_taken_back() {
    let pair = pair();
    put_raw(&pair.p.uplink, WHOLE, &request("read by the primary"));
    get_raw(&pair.p.vm);
    pair.p_then_s();
    pair.checkpoint(2);
    nothing(&pair.s.vm);
}

#[test]
fn a_frame_of_the_agents_own_is_whole() {
    let pair = pair();
    pair.p.relay.inject(0, answer("here I am")).unwrap();
    assert_eq!(get_raw(&pair.p.uplink), (WHOLE, answer("here I am")));
}

#[test]
fn a_card_has_offloads_at_both_ends_or_at_none() {
    let (socket, _other) = UnixStream::pair().unwrap();
    let fd = socket.as_fd();
    for offloads in [0, 1] {
        let relay = Relay::start(Config { offloads, ..config() }).unwrap();
        let fits = [
            relay.attach_vm_tap(0, fd, fd).is_ok(),
            relay.attach_vm(0, fd).is_err(),
            relay.attach_uplink(0, fd, UplinkKind::Stream).is_err(),
        ];
        assert_eq!(fits, [offloads == 1; 3]);
        assert!(relay.attach_uplink(0, fd, UplinkKind::Tap).is_ok());
    }
}
