//! Keys of flows: orientation, text, bytes.

mod common;

use colo_packet::FlowKey;
use colo_packet::build::{self, Segment};
use common::{incoming, message, name, tcp, v4, v6};
use proptest::prelude::*;

fn coded(flow: FlowKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    flow.encode(&mut bytes);
    bytes
}

#[test]
fn both_ways_of_a_connection_have_one_key() {
    for route in [v4(), v6(), v4().vlan(5)] {
        let segment = Segment::default();
        let key = tcp(&build::tcp(route, &segment)).flow;
        assert_eq!(key, incoming(&build::tcp(route.reversed(), &segment)));
        assert_ne!(key, incoming(&build::tcp(route, &segment)));
        let key = message(&build::udp(route, b"")).0;
        assert_eq!(key, incoming(&build::udp(route.reversed(), b"")));
        let key = message(&build::icmp_echo(route, false, 7, 1, b"")).0;
        assert_eq!(
            key,
            incoming(&build::icmp_echo(route.reversed(), false, 7, 1, b""))
        );
    }
}

#[test]
fn a_priority_tag_is_no_vlan() {
    let plain = message(&build::udp(v4(), b"")).0;
    assert_eq!(plain, message(&build::udp(v4().vlan(0x6000), b"")).0);
    assert_ne!(plain, message(&build::udp(v4().vlan(1), b"")).0);
}

#[test]
fn an_ipv6_flow_between_mapped_addresses_is_not_the_ipv4_flow() {
    let mapped = common::route("[::ffff:10.0.0.2]:80", "[::ffff:10.0.0.9]:4312");
    assert_ne!(
        message(&build::udp(v4(), b"")).0,
        message(&build::udp(mapped, b"")).0
    );
}

#[test]
fn keys_are_shown_guest_first() {
    let segment = Segment::default();
    let shown = |route| tcp(&build::tcp(route, &segment)).flow.to_string();
    assert_eq!(shown(v4()), "tcp 10.0.0.2:80 > 10.0.0.9:4312");
    assert_eq!(shown(v6().vlan(5)), "tcp [fd00::2]:80 > [fd00::9]:4312 vlan 5");
    let back = incoming(&build::tcp(v4().reversed(), &segment));
    assert_eq!(back.to_string(), "tcp 10.0.0.2:80 > 10.0.0.9:4312");
    assert_eq!(name(&build::udp(v4(), b"")), "udp 10.0.0.2:80 > 10.0.0.9:4312");
    assert_eq!(
        name(&build::icmp_echo(v6(), true, 7, 1, b"")),
        "icmp fd00::2 > fd00::9 type 129 id 7"
    );
    let lldp = [&[1; 6][..], &[2; 6], &[0x88, 0xcc], b"neighbour"].concat();
    assert_eq!(name(&lldp), "ethernet 88cc 02:02:02:02:02:02 > 01:01:01:01:01:01");
}

#[test]
fn a_key_survives_the_link() {
    let frames = [
        build::tcp(v4().vlan(4095), &Segment::default()),
        build::udp(v6(), b""),
        build::icmp_echo(v4(), false, 7, 1, b""),
        build::fragment(v4(), 17, 1, 0, true, b""),
        build::fragment(v6(), 17, 1, 0, true, b""),
        vec![7; 20],
        Vec::new(),
    ];
    for frame in &frames {
        let flow = incoming(frame);
        assert_eq!(coded(flow).len(), FlowKey::ENCODED);
        assert_eq!(FlowKey::decode(&coded(flow)), Some(flow));
    }
}

proptest! {
    #[test]
    fn bytes_that_are_no_key_are_refused_and_a_key_has_one_encoding(
        bytes in prop::collection::vec(any::<u8>(), 0..60)
    ) {
        match FlowKey::decode(&bytes) {
            Some(flow) => prop_assert_eq!(coded(flow), bytes),
            None => prop_assert!(bytes.len() != FlowKey::ENCODED || bytes[0] > 4),
        }
    }

    #[test]
    fn showing_a_key_from_the_link_is_total(kind in 0_u8..5, rest in prop::collection::vec(any::<u8>(), 42)) {
        let flow = FlowKey::decode(&[&[kind][..], &rest].concat()).unwrap();
        prop_assert!(!flow.to_string().is_empty());
    }
}
