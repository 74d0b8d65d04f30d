//! virtio's header before a frame: what is taken, what is refused, and checksums that are not complete.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use colo_packet::build::{Route, Segment, tcp};
use colo_packet::{Direction, Item, Offload, classify, flag, set_ack, set_seq};
use proptest::prelude::*;
use std::net::SocketAddr;

const NEEDS_CSUM: u8 = 1;
const TCPV4: u8 = 1;

fn segment() -> Vec<u8> {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let route = Route::new(address("10.0.0.2:80"), address("10.0.0.9:4312"));
    let segment = Segment {
        seq: 1000,
        ack: 2000,
        flags: flag::ACK,
        window: 500,
        options: &[],
        payload: &[7; 4000],
    };
    tcp(route, &segment)
}

/// A header for a TCP segment over IPv4 without options.
fn header(flags: u8, gso_type: u8, gso_size: u16) -> [u8; Offload::LEN] {
    let [low, high] = gso_size.to_le_bytes();
    [flags, gso_type, 54, 0, low, high, 34, 0, 16, 0, 0, 0]
}

fn with(header: [u8; Offload::LEN], frame: &[u8]) -> Vec<u8> {
    [&header, frame].concat()
}

fn is_taken(header: [u8; Offload::LEN]) -> bool {
    Offload::split(&mut with(header, &segment())).is_some()
}

#[test]
fn a_header_is_read_and_written_as_it_came() {
    for sent in [
        header(NEEDS_CSUM, TCPV4, 1448),
        header(NEEDS_CSUM, TCPV4 | 0x80, 1448),
        header(NEEDS_CSUM, 4, 1428),
        header(NEEDS_CSUM, 0, 0),
        header(2, 0, 0),
        [0; 12],
    ] {
        let mut bytes = with(sent, &segment());
        let (offload, frame) = Offload::split(&mut bytes).unwrap();
        assert_eq!(frame, segment());
        assert_eq!(offload.header(), sent);
    }
}

#[test]
fn what_nobody_offered_is_refused() {
    assert!(is_taken(header(NEEDS_CSUM, TCPV4, 1448)));
    assert!(!is_taken(header(NEEDS_CSUM, TCPV4, 0)), "segments of nothing");
    assert!(
        !is_taken(header(0, TCPV4, 1448)),
        "cut without sums to be completed"
    );
    assert!(!is_taken(header(NEEDS_CSUM, 3, 1448)), "UDP fragments");
    assert!(!is_taken(header(NEEDS_CSUM, 5, 1448)), "UDP segments");
    assert!(!is_taken(header(NEEDS_CSUM, 0x80, 0)), "ECN of nothing");
    assert!(!is_taken(header(0x10, 0, 0)), "an unknown flag");
}

#[test]
fn what_points_past_the_frame_is_refused() {
    let length = segment().len();
    let at = |start: usize, offset: u16| {
        let mut header = header(NEEDS_CSUM, 0, 0);
        header[6..8].copy_from_slice(&(start as u16).to_le_bytes());
        header[8..10].copy_from_slice(&offset.to_le_bytes());
        header
    };
    assert!(is_taken(at(length - 18, 16)));
    assert!(!is_taken(at(length - 17, 16)));
    assert!(!is_taken(at(0xffff, 0xffff)));
    let mut long = header(0, 0, 0);
    long[2..4].copy_from_slice(&(length as u16 + 1).to_le_bytes());
    assert!(!is_taken(long));
}

#[test]
fn a_checksum_to_be_completed_outlives_changes_of_numbers() {
    let mut bytes = with(header(NEEDS_CSUM, TCPV4, 1448), &segment());
    bytes[12 + 50..12 + 52].copy_from_slice(&[0xab, 0xcd]);
    let (offload, frame) = Offload::split(&mut bytes).unwrap();
    let Item::Tcp(tcp) = classify(frame, Direction::Outgoing) else {
        panic!("no segment")
    };
    let at = tcp.at;
    set_seq(frame, at, 77);
    set_ack(frame, at, 78);
    offload.restore(frame);
    assert_eq!(frame.get(50..52).unwrap(), [0xab, 0xcd]);
}

#[test]
fn a_whole_checksum_stays_mended() {
    let mut bytes = with([0; 12], &segment());
    let (offload, frame) = Offload::split(&mut bytes).unwrap();
    let Item::Tcp(tcp) = classify(frame, Direction::Outgoing) else {
        panic!("no segment")
    };
    let (at, before) = (tcp.at, frame.get(50..52).unwrap().to_vec());
    set_seq(frame, at, 77);
    let mended = frame.get(50..52).unwrap().to_vec();
    assert_ne!(before, mended);
    offload.restore(frame);
    assert_eq!(frame.get(50..52).unwrap(), mended);
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_with_a_header_or_none(mut bytes in prop::collection::vec(any::<u8>(), 0..100), tame: bool) {
        if tame && bytes.len() > 10 {
            bytes[0] &= 3;
            bytes[1] &= 0x81;
            (bytes[3], bytes[7], bytes[9]) = (0, 0, 0);
        }
        let original = bytes.clone();
        if let Some((offload, frame)) = Offload::split(&mut bytes) {
            prop_assert_eq!(&offload.header()[..10], &original[..10]);
            let mut other = vec![0; frame.len()];
            offload.restore(&mut other);
            offload.restore(frame);
            prop_assert_eq!(&original[12..], &*frame);
            offload.restore(&mut []);
        }
    }
}
