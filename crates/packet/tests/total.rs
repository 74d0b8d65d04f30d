//! Any bytes are some frame.

mod common;

use colo_packet::build::{self, Segment};
use colo_packet::{
    Direction, Item, classify, pure_ack, put_together, segment, set_ack, set_seq, set_window, shift_sack,
    source,
};
use proptest::prelude::*;

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let segment = Segment {
        options: &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        payload: b"hello",
        ..Segment::default()
    };
    let chain = [0, 0, 1, 4, 0, 0, 0, 0, 60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0];
    prop_oneof![
        Just(build::tcp(common::v4(), &segment)),
        Just(build::tcp(common::v6().vlan(5), &segment)),
        Just(build::udp(common::v6(), b"hello")),
        Just(build::icmp_echo(common::v4(), true, 1, 1, b"hello")),
        Just(build::ip(common::v6(), 0, &chain)),
        Just(build::fragment(common::v6(), 6, 1, 0, true, b"hello")),
        Just(build::fragment(common::v4(), 6, 1, 2, false, b"hello")),
        Just(build::arp(common::v4())),
    ]
}

fn read_and_change(frame: &mut [u8]) {
    assert!(frame.len() >= 14 || source(frame).is_none());
    let item = classify(frame, Direction::Incoming);
    match item {
        Item::Tcp(tcp) => {
            let (seq, ack, at) = (tcp.seq, tcp.ack, tcp.at);
            assert!(tcp.payload.len() + tcp.options.len() + 54 <= frame.len());
            tcp.sack_blocks().for_each(drop);
            assert!(tcp.syn_options_equal(&tcp));
            shift_sack(frame, at, 77);
            shift_sack(frame, at, 77_u32.wrapping_neg());
            set_seq(frame, at, seq);
            set_ack(frame, at, ack);
            let made = pure_ack(frame, seq, ack, 7);
            assert!(made.is_none_or(|made| matches!(classify(&made, Direction::Incoming), Item::Tcp(_))));
            set_window(frame, at, 7);
        }
        Item::Message { flow, body } => {
            assert!(body.len() <= frame.len());
            assert!(body.equals(&body));
            assert!(!flow.to_string().is_empty());
        }
        Item::Fragment(fragment) => {
            assert!(fragment.at + fragment.len <= frame.len());
            assert!(fragment.start < 1 << 16 && fragment.start % 8 == 0);
            assert!(!fragment.flow.to_string().is_empty());
            let made = put_together(frame, &[7; 40]);
            assert!(made.is_some_and(|made| made.ends_with(&[7; 40])));
            let begun = segment(frame, Direction::Incoming);
            assert!(begun.is_none_or(|begun| begun.payload.len() <= fragment.len));
        }
        Item::Chore => {}
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut frame in prop::collection::vec(any::<u8>(), 0..200)) {
        read_and_change(&mut frame);
    }

    #[test]
    fn damaged_and_cut_frames_never_panic(
        mut frame in frames(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
    ) {
        for (at, value) in damage {
            *at.get_mut(&mut frame) = value;
        }
        frame.truncate(length.index(frame.len() + 1));
        read_and_change(&mut frame);
    }
}
