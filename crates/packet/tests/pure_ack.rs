//! Acknowledgements made from other segments.

mod common;

use colo_packet::build::{self, Segment};
use colo_packet::{flag, pure_ack};
use common::{tcp, tcp_checksum_is_right, v4, v6};

const STAMPS: [u8; 10] = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];

fn data(options: &[u8]) -> Segment<'_> {
    Segment {
        seq: 1000,
        ack: 9,
        flags: flag::ACK | flag::PSH | flag::FIN,
        window: 3,
        options,
        payload: b"some payload",
    }
}

fn bare(options: &[u8]) -> Segment<'_> {
    Segment {
        seq: 1013,
        ack: 77,
        flags: flag::ACK,
        window: 500,
        options,
        payload: &[],
    }
}

#[test]
fn it_is_the_segment_that_the_guest_would_have_sent() {
    for route in [v4(), v6(), v4().vlan(5), v6().vlan(5)] {
        let made = pure_ack(&build::tcp(route, &data(&[])), 1013, 77, 500).unwrap();
        assert_eq!(made, build::tcp(route, &bare(&[])), "checksums and all");
    }
}

#[test]
fn timestamps_stay_and_sack_blocks_go() {
    let sack = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let aligned = [&[1, 1][..], &STAMPS].concat();
    for options in [
        [&sack[..], &aligned].concat(),
        [&STAMPS[..], &[1, 1], &sack].concat(),
    ] {
        let made = pure_ack(&build::tcp(v6(), &data(&options)), 1013, 77, 500).unwrap();
        assert_eq!(made, build::tcp(v6(), &bare(&aligned)));
    }
}

#[test]
fn padding_of_the_link_does_not_stay() {
    let mut frame = build::tcp(v4(), &bare(&[]));
    frame.resize(60, 0xee);
    assert_eq!(
        pure_ack(&frame, 1013, 77, 500).unwrap(),
        build::tcp(v4(), &bare(&[]))
    );
}

#[test]
fn it_is_no_part_of_congestion_signalling_but_keeps_what_was_seen() {
    let mut frame = build::tcp(v4(), &bare(&[]));
    frame[15] = 0xba;
    frame[47] |= 0x40;
    let made = pure_ack(&frame, 1013, 77, 500).unwrap();
    assert_eq!((made[15], tcp(&made).flags), (0xb8, flag::ACK | 0x40));
    assert!(tcp_checksum_is_right(&made));
}

#[test]
fn an_ipv4_header_with_options_stays_whole() {
    let plain = build::tcp(v4(), &bare(&[]));
    let mut frame = plain[..34].to_vec();
    frame.extend([1, 1, 1, 0]);
    frame.extend(&plain[34..]);
    (frame[14], frame[17]) = (0x46, frame[17] + 4);
    let made = pure_ack(&frame, 1, 2, 3).unwrap();
    assert_eq!(made.len(), frame.len());
    assert_eq!((made[14], &made[34..38]), (0x46, &[1, 1, 1, 0][..]));
    assert_eq!((tcp(&made).seq, tcp(&made).ack, tcp(&made).window), (1, 2, 3));
    let sum = colo_packet::checksum::Sum::default().over(&made[14..38]).finish();
    assert_eq!(sum, 0, "the header's checksum is right");
}

#[test]
fn there_is_none_of_what_is_no_whole_segment() {
    let chain = [6, 0, 1, 4, 0, 0, 0, 0, 0, 80, 0, 90];
    for frame in [
        build::udp(v4(), b"x"),
        build::arp(v4()),
        build::fragment(v4(), 6, 1, 0, true, &[0; 40]),
        build::ip(v6(), 60, &[&chain[..], &[0; 40]].concat()),
        build::ip(v4(), 6, &[0; 19]),
        vec![0; 13],
    ] {
        assert_eq!(pure_ack(&frame, 1, 2, 3), None);
    }
}
