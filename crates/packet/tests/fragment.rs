//! Pieces of datagrams, and what they make together.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use colo_packet::build::{self, Route, Segment};
use colo_packet::{Direction, Fragment, Item, classify, flag, pure_ack, put_together, segment};
use common::{incoming, message, tcp, v4, v6};

fn read(frame: &[u8]) -> Fragment {
    match classify(frame, Direction::Outgoing) {
        Item::Fragment(fragment) => fragment,
        other => panic!("no fragment: {other:?}"),
    }
}

/// A segment with 40 bytes of data, and its bytes behind the IP header.
fn with_data(route: Route) -> (Vec<u8>, Vec<u8>) {
    let whole = build::tcp(
        route,
        &Segment {
            seq: 7,
            flags: flag::ACK,
            options: &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: &[0x5a; 40],
            ..Segment::default()
        },
    );
    let header = whole.len() - 72;
    let payload = whole[header..].to_vec();
    (whole, payload)
}

#[test]
fn a_fragment_says_its_place_in_which_datagram() {
    for route in [v4(), v6(), v4().vlan(5), v6().vlan(5)] {
        let frame = build::fragment(route, 17, 0xabcd, 0x1ffe, true, b"12345678");
        let piece = read(&frame);
        assert_eq!((piece.id, piece.start, piece.more), (0xabcd, 0xfff0, true));
        assert_eq!(&frame[piece.at..piece.at + piece.len], b"12345678");
        assert!(!read(&build::fragment(route, 17, 1, 1, false, b"12")).more);
    }
}

#[test]
fn padding_of_the_link_is_no_part_of_a_fragment() {
    let mut frame = build::fragment(v4(), 17, 1, 1, false, b"12");
    frame.resize(60, 0);
    assert_eq!(read(&frame).len, 2);
}

#[test]
fn fragments_of_ipv4_belong_together_by_protocol_those_of_ipv6_whatever_it_is() {
    let flow = |route, protocol| read(&build::fragment(route, protocol, 1, 1, false, b"1")).flow;
    assert_ne!(flow(v4(), 6), flow(v4(), 17));
    assert_eq!(flow(v6(), 6), flow(v6(), 60));
    assert_ne!(flow(v6(), 6), flow(v6().vlan(9), 6));
    assert_eq!(
        flow(v4(), 6).to_string(),
        "fragments of protocol 6 10.0.0.2 > 10.0.0.9"
    );
    assert_eq!(flow(v6(), 6).to_string(), "fragments fd00::2 > fd00::9");
    let back = build::fragment(v6().reversed(), 6, 1, 1, false, b"1");
    assert_eq!(flow(v6(), 6), incoming(&back));
}

#[test]
fn put_together_they_read_like_a_datagram_that_was_never_cut() {
    for route in [v4(), v6(), v4().vlan(5), v6().vlan(5)] {
        let (whole, payload) = with_data(route);
        let first = build::fragment(route, 6, 9, 0, true, &payload[..16]);
        let made = put_together(&first, &payload).unwrap();
        let (made, whole) = (tcp(&made), tcp(&whole));
        assert_eq!(made.flow, whole.flow);
        assert_eq!(
            (made.seq, made.options, made.payload),
            (7, whole.options, whole.payload)
        );
    }
}

#[test]
fn headers_before_a_fragment_s_own_stay_before_the_datagram() {
    // Hop-by-hop, then the fragment header that stands behind it.
    let (whole, payload) = with_data(v6());
    let fragment = [6, 0, 0, 1, 0, 0, 0, 9];
    let first = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment, &payload[..24]].concat();
    let first = build::ip(v6(), 0, &first);
    let made = put_together(&first, &payload).unwrap();
    assert_eq!(made[54..62], [6, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(tcp(&made).payload, tcp(&whole).payload);
}

#[test]
fn a_datagram_that_no_packet_can_hold_is_not_made() {
    let longest = [(v4(), 0xffff - 20), (v6(), 0xffff)];
    for (route, longest) in longest {
        let first = build::fragment(route, 17, 1, 0, true, b"12345678");
        assert!(put_together(&first, &vec![0; longest]).is_some());
        assert_eq!(put_together(&first, &vec![0; longest + 1]), None);
        assert_eq!(put_together(&build::udp(route, b"whole"), b"12345678"), None);
    }
    assert_eq!(put_together(&build::arp(v4()), b"12345678"), None);
}

#[test]
fn an_atomic_fragment_is_a_whole_datagram() {
    let (whole, payload) = with_data(v6());
    let atomic = build::fragment(v6(), 6, 9, 0, false, &payload);
    assert_eq!(tcp(&atomic).payload, tcp(&whole).payload);
    assert_eq!(pure_ack(&atomic, 1, 2, 3), None, "its headers are not understood");
    // With more headers behind it.
    let options = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &payload].concat();
    let atomic = build::fragment(v6(), 60, 9, 0, false, &options);
    assert_eq!(tcp(&atomic).payload, tcp(&whole).payload);
}

#[test]
fn a_fragment_header_that_is_cut_short_is_no_fragment() {
    let frame = build::ip(v6(), 44, &[6, 0, 0, 1, 0, 0, 0]);
    assert!(message(&frame).0.to_string().starts_with("ethernet "));
}

#[test]
fn the_segment_that_a_first_fragment_begins_is_read_if_all_of_its_header_is_there() {
    for route in [v4(), v6()] {
        let (whole, payload) = with_data(route);
        let at = |offset: u16, length: usize| {
            let from = usize::from(offset) * 8;
            build::fragment(route, 6, 9, offset, true, &payload[from..from + length])
        };
        let first = at(0, 40);
        let begun = segment(&first, Direction::Outgoing).unwrap();
        assert_eq!(begun.flow, tcp(&whole).flow);
        assert_eq!((begun.seq, begun.payload), (7, &[0x5a; 8][..]));
        assert!(segment(&at(0, 24), Direction::Outgoing).is_none());
        assert!(segment(&at(1, 40), Direction::Outgoing).is_none());
        assert!(segment(&whole, Direction::Outgoing).is_some());
        let other = build::fragment(route, 17, 9, 0, true, &payload[..40]);
        assert!(segment(&other, Direction::Outgoing).is_none());
    }
}
