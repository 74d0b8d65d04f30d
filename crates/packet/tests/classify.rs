//! What a frame is, and which of its bytes are compared.

mod common;

use colo_packet::build::{self, Segment};
use colo_packet::{Direction, Item, classify};
use common::{message, name, route, tcp, v4, v6};

fn is_chore(frame: &[u8]) -> bool {
    matches!(classify(frame, Direction::Outgoing), Item::Chore)
}

/// All of the frame, in an Ethernet flow.
fn is_whole(frame: &[u8]) -> bool {
    let (flow, body) = message(frame);
    flow.to_string().starts_with("ethernet ") && body.parts() == &[&[][..], frame]
}

#[test]
fn a_segment_is_read_with_its_options_and_payload() {
    let segment = Segment {
        seq: 7,
        ack: 9,
        flags: 0x12,
        window: 512,
        options: &[2, 4, 5, 180],
        payload: b"hello",
    };
    for route in [v4(), v6(), v4().vlan(5), v6().vlan(5)] {
        let frame = build::tcp(route, &segment);
        let read = tcp(&frame);
        assert_eq!((read.seq, read.ack, read.flags, read.window), (7, 9, 0x12, 512));
        assert_eq!((read.options, read.payload), (segment.options, segment.payload));
        assert_eq!(read.len(), 6, "payload and SYN");
        assert!(read.syn() && read.ack_flag() && !read.fin() && !read.rst());
    }
}

#[test]
fn padding_of_the_link_belongs_to_no_payload() {
    let mut frame = build::tcp(
        v4(),
        &Segment {
            payload: b"x",
            ..Segment::default()
        },
    );
    frame.resize(60, 0xee);
    assert_eq!(tcp(&frame).payload, b"x");
    let mut frame = build::udp(v6(), b"x");
    frame.resize(90, 0xee);
    assert_eq!(message(&frame).1.parts()[1], b"x");
}

#[test]
fn a_datagram_is_its_payload_without_the_checksum() {
    let first = build::udp(v4(), b"question");
    let mut second = build::udp(v4(), b"question");
    second[40] ^= 0xff;
    build::set_id(&mut second, 14, 77);
    assert!(message(&first).1.equals(&message(&second).1));
    assert_eq!(message(&first).1.hash64(3), message(&second).1.hash64(3));
    assert!(
        !message(&first)
            .1
            .equals(&message(&build::udp(v4(), b"quest!on")).1)
    );
}

#[test]
fn an_echo_is_compared_but_for_its_checksum() {
    for route in [v4(), v6()] {
        let first = build::icmp_echo(route, true, 7, 1, b"ping");
        let next = build::icmp_echo(route, true, 7, 2, b"ping");
        assert_eq!(message(&first).0, message(&next).0);
        assert!(
            !message(&first).1.equals(&message(&next).1),
            "the sequence number counts"
        );
        assert_eq!(message(&first).1.len(), 2 + 4 + 4);
        let other = build::icmp_echo(route, true, 8, 1, b"ping");
        assert_ne!(
            message(&first).0,
            message(&other).0,
            "the identifier is part of the flow"
        );
    }
}

#[test]
fn another_protocol_is_compared_by_its_whole_payload() {
    let frame = build::ip(v4(), 47, b"tunnel");
    assert_eq!(message(&frame).1.parts(), &[&b""[..], b"tunnel"]);
    assert_eq!(name(&frame), "protocol 47 10.0.0.2 > 10.0.0.9");
}

#[test]
fn arp_and_neighbour_discovery_are_chores() {
    assert!(is_chore(&build::arp(v4())));
    assert!(is_chore(&build::arp(v4().vlan(3))));
    assert!(is_chore(&build::neighbour_solicitation(v6())));
    assert!(!is_chore(&build::icmp_echo(v6(), false, 1, 1, b"")));
    // The same type number means nothing in ICMP for IPv4.
    assert!(!is_chore(&build::ip(v4(), 1, &[135, 0, 0, 0, 0, 0, 0, 0])));
    assert!(!is_chore(&build::ip(v4(), 58, &[135, 0, 0, 0, 0, 0, 0, 0])));
}

#[test]
fn extension_headers_are_walked_over() {
    let segment = build::tcp(
        v6(),
        &Segment {
            seq: 5,
            payload: b"data",
            ..Segment::default()
        },
    );
    // Hop-by-hop of 8 bytes, destination options of 16, authentication of 16, then TCP.
    let mut payload = [
        &[60, 0, 1, 4, 0, 0, 0, 0][..],
        &[51, 1],
        &[0; 14],
        &[6, 2],
        &[0; 14],
    ]
    .concat();
    payload.extend_from_slice(&segment[54..]);
    let frame = build::ip(v6(), 0, &payload);
    let read = tcp(&frame);
    assert_eq!((read.seq, read.payload), (5, &b"data"[..]));
    assert_eq!(read.flow, tcp(&segment).flow);
}

#[test]
fn a_long_chain_of_extension_headers_is_not_followed() {
    let segment = build::tcp(v6(), &Segment::default());
    let frame = |headers: usize| {
        let mut chain = [0, 0, 1, 4, 0, 0, 0, 0].repeat(headers);
        chain[8 * (headers - 1)] = 6;
        chain.extend_from_slice(&segment[54..]);
        build::ip(v6(), 0, &chain)
    };
    assert_eq!(tcp(&frame(8)).flow, tcp(&segment).flow);
    assert!(is_whole(&frame(9)));
}

#[test]
fn a_short_frame_is_a_message_over_the_whole_frame() {
    let frame = build::tcp(
        v4().vlan(7),
        &Segment {
            payload: b"hello",
            ..Segment::default()
        },
    );
    for length in 0..frame.len() {
        assert!(is_whole(&frame[..length]), "{length} bytes");
    }
}

#[test]
fn a_lying_length_is_a_message_over_the_whole_frame() {
    let good = build::tcp(
        v4(),
        &Segment {
            payload: b"hello",
            ..Segment::default()
        },
    );
    let udp = build::udp(v4(), b"hello");
    let lie = |frame: &[u8], at: usize, value: u8| {
        let mut frame = frame.to_vec();
        frame[at] = value;
        frame
    };
    assert!(
        is_whole(&lie(&good, 14, 0x44)),
        "IPv4 header shorter than possible"
    );
    assert!(
        is_whole(&lie(&good, 14, 0x65)),
        "IPv6 within the EtherType of IPv4"
    );
    assert!(is_whole(&lie(&good, 17, 200)), "IPv4 total length past the end");
    assert!(
        is_whole(&lie(&good, 17, 19)),
        "IPv4 total length within the header"
    );
    assert!(
        is_whole(&lie(&good, 46, 0x40)),
        "TCP data offset shorter than possible"
    );
    assert!(is_whole(&lie(&good, 46, 0xf0)), "TCP data offset past the end");
    assert!(is_whole(&lie(&udp, 39, 7)), "UDP length within the header");
    assert!(is_whole(&lie(&udp, 39, 14)), "UDP length past the end");
    assert!(
        is_whole(&lie(&build::udp(v6(), b"hello"), 19, 200)),
        "IPv6 length past the end"
    );
}

#[test]
fn a_third_vlan_tag_makes_an_unknown_protocol() {
    let frame = build::udp(v4().vlan(1), b"x");
    let tag = |frame: &[u8]| [&frame[..12], &[0x88, 0xa8, 0, 2], &frame[12..]].concat();
    assert_eq!(
        name(&tag(&frame)),
        "udp 10.0.0.2:80 > 10.0.0.9:4312 vlan 2 vlan 1"
    );
    assert!(is_whole(&tag(&tag(&frame))));
}

#[test]
fn the_source_is_what_a_switch_and_a_neighbour_learn() {
    let address = |frame: &[u8]| {
        colo_packet::source(frame)
            .unwrap()
            .address
            .map(|address| address.to_string())
    };
    assert_eq!(address(&build::arp(v4())).as_deref(), Some("10.0.0.2"));
    assert_eq!(
        address(&build::udp(v4().vlan(3), b"")).as_deref(),
        Some("10.0.0.2")
    );
    assert_eq!(
        address(&build::neighbour_solicitation(v6())).as_deref(),
        Some("fd00::2")
    );
    assert_eq!(
        address(&build::udp(route("0.0.0.0:68", "255.255.255.255:67"), b"")),
        None
    );
    assert_eq!(
        colo_packet::source(&build::arp(v4())).unwrap().mac,
        [0x52, 0x54, 0, 0xc0, 0x10, 0x01]
    );
    assert_eq!(colo_packet::source(&[0; 13]), None);
}

#[test]
fn frames_as_long_as_ip_allows_are_read() {
    for (route, longest) in [(v4(), 0xffff - 20), (v6(), 0xffff)] {
        for route in [route, route.vlan(5)] {
            let payload = vec![0x5a; longest - 20];
            let segment = Segment {
                payload: &payload,
                ..Segment::default()
            };
            assert_eq!(tcp(&build::tcp(route, &segment)).payload, payload);
            let payload = vec![0x5a; longest - 8];
            assert_eq!(message(&build::udp(route, &payload)).1.parts()[1], payload);
        }
    }
}
