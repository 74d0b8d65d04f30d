//! The ends that the tests of this crate use.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

pub mod cutting;

use colo_packet::build::Route;
use colo_packet::{Body, Direction, FlowKey, Item, Tcp, classify};

pub fn route(source: &str, destination: &str) -> Route {
    Route::new(source.parse().unwrap(), destination.parse().unwrap())
}

/// From the guest to a client.
pub fn v4() -> Route {
    route("10.0.0.2:80", "10.0.0.9:4312")
}

pub fn v6() -> Route {
    route("[fd00::2]:80", "[fd00::9]:4312")
}

pub fn tcp(frame: &[u8]) -> Tcp<'_> {
    match classify(frame, Direction::Outgoing) {
        Item::Tcp(tcp) => tcp,
        other => panic!("not TCP: {other:?}"),
    }
}

pub fn message(frame: &[u8]) -> (FlowKey, Body<'_>) {
    match classify(frame, Direction::Outgoing) {
        Item::Message { flow, body } => (flow, body),
        other => panic!("no message: {other:?}"),
    }
}

/// The flow of a frame from a client.
pub fn incoming(frame: &[u8]) -> FlowKey {
    match classify(frame, Direction::Incoming) {
        Item::Tcp(tcp) => tcp.flow,
        Item::Message { flow, .. } => flow,
        Item::Fragment(fragment) => fragment.flow,
        Item::Chore => panic!("a chore has no flow"),
    }
}

pub fn name(frame: &[u8]) -> String {
    message(frame).0.to_string()
}

/// Whether the checksum at `at` of the IPv4 TCP segment in an untagged frame is right, by summing all of it.
pub fn tcp_checksum_is_right(frame: &[u8]) -> bool {
    let length = (frame.len() - 34) as u32;
    let sum = colo_packet::checksum::Sum::default()
        .over(&frame[26..34])
        .over(&[0, 6]);
    sum.over(&length.to_be_bytes()).over(&frame[34..]).finish() == 0
}
