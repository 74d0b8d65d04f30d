//! Traffic of the link that is never compared, and its neighbours that are.

mod common;

use std::net::SocketAddr;

use colo_packet::build::{self, Route};
use colo_packet::{Direction, Item, classify};
use common::{v4, v6};
use proptest::prelude::*;

fn is_chore(frame: &[u8]) -> bool {
    matches!(classify(frame, Direction::Outgoing), Item::Chore)
}

fn ports(route: Route, source: u16, destination: u16) -> Route {
    let at = |end: SocketAddr, port| SocketAddr::new(end.ip(), port);
    Route::new(at(route.source, source), at(route.destination, destination))
}

/// A client's message: fixed fields with a transaction identifier, cookie, then options.
fn dhcp(options: &[u8]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef];
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63]);
    message.extend(options);
    message
}

fn from_client(options: &[u8]) -> Vec<u8> {
    build::udp(ports(v4(), 68, 67), &dhcp(options))
}

#[test]
fn a_dhcp_client_s_requests_are_chores() {
    for kind in [1, 3, 8] {
        assert!(is_chore(&from_client(&[53, 1, kind, 255])));
        assert!(
            is_chore(&from_client(&[0, 12, 2, b'v', b'm', 53, 1, kind, 255])),
            "behind another option"
        );
    }
}

#[test]
fn to_give_an_address_back_is_compared() {
    for kind in [4, 7] {
        assert!(!is_chore(&from_client(&[53, 1, kind, 255])));
    }
    for kind in [8, 9] {
        assert!(!is_chore(&build::udp(ports(v6(), 546, 547), &[kind, 1, 2, 3])));
    }
}

#[test]
fn a_dhcpv6_client_s_requests_are_chores() {
    for kind in [1, 3, 4, 5, 6, 11] {
        assert!(is_chore(&build::udp(ports(v6(), 546, 547), &[kind, 1, 2, 3])));
    }
    assert!(!is_chore(&build::udp(ports(v6(), 546, 547), &[])));
}

#[test]
fn what_only_looks_like_dhcp_is_compared() {
    let request = dhcp(&[53, 1, 3, 255]);
    for (source, destination) in [(67, 68), (68, 68), (546, 547), (1068, 67)] {
        assert!(!is_chore(&build::udp(ports(v4(), source, destination), &request)));
    }
    let mut other = request;
    other[237] ^= 1;
    assert!(
        !is_chore(&build::udp(ports(v4(), 68, 67), &other)),
        "another cookie"
    );
    for options in [
        &[][..],
        &[255, 53, 1, 3],
        &[12, 200, 1, 53, 1, 3],
        &[53],
        &[53, 1],
        &[53, 2, 3, 0],
    ] {
        assert!(!is_chore(&from_client(options)), "{options:?}");
    }
}

#[test]
fn membership_of_multicast_groups_is_a_chore() {
    assert!(is_chore(&build::ip(v4(), 2, &[0x22, 0, 0, 0, 0, 0, 0, 0])));
    assert!(
        !is_chore(&build::ip(v6(), 2, &[0x22, 0, 0, 0])),
        "IGMP is of IPv4"
    );
    for kind in [130, 131, 132, 143] {
        let report = [&[58, 0, 5, 2, 0, 0, 1, 0][..], &[kind, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert!(is_chore(&build::ip(v6(), 0, &report)), "behind a router alert");
    }
    for kind in [1, 129, 138, 142, 144] {
        assert!(!is_chore(&build::ip(v6(), 58, &[kind, 0, 0, 0, 0, 0, 0, 0])));
    }
}

proptest! {
    #[test]
    fn any_options_are_survived(options in prop::collection::vec(any::<u8>(), 0..80), cut in 0..330_usize) {
        let mut message = dhcp(&options);
        message.truncate(cut);
        is_chore(&build::udp(ports(v4(), 68, 67), &message));
    }
}
