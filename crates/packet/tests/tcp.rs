//! TCP options, and changing numbers in place.

mod common;

use colo_packet::build::{self, Segment};
use colo_packet::{checksum, flag, set_ack, set_seq, set_window, shift_sack};
use common::{tcp, tcp_checksum_is_right, v4, v6};
use proptest::prelude::*;

fn with_options(options: &[u8]) -> Vec<u8> {
    build::tcp(
        v4(),
        &Segment {
            flags: 0x12,
            options,
            ..Segment::default()
        },
    )
}

fn blocks(frame: &[u8]) -> Vec<(u32, u32)> {
    tcp(frame).sack_blocks().collect()
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    tcp(&with_options(a)).syn_options_equal(&tcp(&with_options(b)))
}

const MSS: [u8; 4] = [2, 4, 5, 180];

#[test]
fn sack_blocks_are_found_among_other_options() {
    let options = [
        &[1, 1, 8, 10][..],
        &[9; 8],
        &[1, 1, 5, 18],
        &[0, 0, 0, 1, 0, 0, 0, 2],
        &[0xff; 8],
    ]
    .concat();
    assert_eq!(blocks(&with_options(&options)), [(1, 2), (u32::MAX, u32::MAX)]);
}

#[test]
fn options_with_lying_lengths_hold_no_sack_blocks() {
    assert_eq!(blocks(&with_options(&[5, 18, 0, 0, 0, 1, 0, 0])), []);
    assert_eq!(blocks(&with_options(&[5, 0, 0, 1, 0, 0, 0, 2])), []);
    assert_eq!(blocks(&with_options(&[5, 1, 0, 1, 0, 0, 0, 2])), []);
    assert_eq!(
        blocks(&with_options(&[5, 6, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1])),
        [],
        "half a block"
    );
    assert_eq!(blocks(&with_options(&[1, 1, 1, 5])), []);
    assert_eq!(
        blocks(&with_options(&[0, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2])),
        [],
        "behind the end of the list"
    );
}

#[test]
fn options_of_a_syn_are_equal_but_for_the_values_of_timestamps() {
    let stamped = |value| [&MSS[..], &[8, 10], &[value; 8], &[1, 1]].concat();
    assert!(equal(&stamped(1), &stamped(2)));
    assert!(
        !equal(&stamped(1), &MSS),
        "whether there are timestamps is negotiated"
    );
    assert!(!equal(&MSS, &[2, 4, 5, 181]));
    assert!(equal(&[1, 3, 3, 7], &[3, 3, 7, 0]), "padding counts for nothing");
    assert!(
        !equal(&[3, 9, 7, 0], &[3, 9, 8, 0]),
        "what stands behind a lying length counts"
    );
}

#[test]
fn numbers_change_in_place_in_every_kind_of_frame() {
    for route in [v4(), v6(), v4().vlan(5), v6().vlan(5)] {
        let segment = Segment {
            seq: 1,
            ack: 2,
            payload: b"odd",
            ..Segment::default()
        };
        let mut frame = build::tcp(route, &segment);
        let at = tcp(&frame).at;
        set_seq(&mut frame, at, 0x8000_0001);
        set_ack(&mut frame, at, u32::MAX);
        let wanted = Segment {
            seq: 0x8000_0001,
            ack: u32::MAX,
            ..segment
        };
        assert_eq!(frame, build::tcp(route, &wanted));
    }
}

#[test]
fn a_place_in_another_frame_changes_nothing() {
    let options = [&[5, 10][..], &[0; 8], &[1, 1]].concat();
    let at = tcp(&with_options(&options)).at;
    for length in 0..50 {
        let mut short = vec![0; length];
        set_seq(&mut short, at, u32::MAX);
        set_ack(&mut short, at, u32::MAX);
        shift_sack(&mut short, at, u32::MAX);
        assert_eq!(short, vec![0; length]);
    }
}

proptest! {
    #[test]
    fn the_mended_checksum_is_the_one_of_the_whole_segment(
        seq in any::<u32>(), ack in any::<u32>(), delta in any::<u32>(), odd in any::<bool>(),
        edges in prop::collection::vec(any::<u32>(), 4), payload in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let padding = if odd { [&[1][..], &[1]] } else { [&[1, 1][..], &[]] };
        let blocks: Vec<u8> = edges.iter().flat_map(|edge| edge.to_be_bytes()).collect();
        let options = [padding[0], &[5, 18], &blocks, padding[1]].concat();
        let mut frame = build::tcp(v4(), &Segment { options: &options, payload: &payload, ..Segment::default() });
        let at = tcp(&frame).at;
        set_seq(&mut frame, at, seq);
        set_ack(&mut frame, at, ack);
        shift_sack(&mut frame, at, delta);

        let read = tcp(&frame);
        prop_assert_eq!((read.seq, read.ack, read.payload), (seq, ack, &payload[..]));
        let shifted: Vec<u32> = read.sack_blocks().flat_map(|(left, right)| [left, right]).collect();
        let wanted: Vec<u32> = edges.iter().map(|edge| edge.wrapping_add(delta)).collect();
        prop_assert_eq!(shifted, wanted);
        prop_assert!(tcp_checksum_is_right(&frame));
    }

    #[test]
    fn a_wrong_checksum_stays_wrong(seq in any::<u32>(), error in 1_u16..0xffff) {
        let mut frame = build::tcp(v4(), &Segment::default());
        let wrong = u16::from_be_bytes([frame[50], frame[51]]) ^ error;
        frame[50..52].copy_from_slice(&wrong.to_be_bytes());
        prop_assume!(!tcp_checksum_is_right(&frame));
        let at = tcp(&frame).at;
        set_seq(&mut frame, at, seq);
        prop_assert!(!tcp_checksum_is_right(&frame));
    }

    #[test]
    fn mending_any_piece_equals_summing_again(
        bytes in prop::collection::vec(any::<u8>(), 8..40), at in 0_usize..8,
        new in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let end = (at + new.len()).min(bytes.len());
        let new = &new[..end - at];
        let mut changed = bytes.clone();
        changed[at..end].copy_from_slice(new);
        let old = checksum::Sum::default().over(&bytes).finish();
        let mended = checksum::mend(old, &bytes[at..end], new, at % 2 == 1);
        // The two zeros of one's complement are the same number.
        let whole = checksum::Sum::default().over(&changed).finish();
        prop_assert!(mended == whole || [mended, whole].iter().all(|sum| [0, 0xffff].contains(sum)));
    }
}

#[test]
fn the_window_changes_in_place() {
    for route in [v4(), v6().vlan(5)] {
        let segment = Segment {
            window: 9,
            payload: b"odd",
            ..Segment::default()
        };
        let mut frame = build::tcp(route, &segment);
        let at = tcp(&frame).at;
        set_window(&mut frame, at, 0xfffe);
        let wider = Segment {
            window: 0xfffe,
            ..segment
        };
        assert_eq!(frame, build::tcp(route, &wider), "checksum and all");
    }
}

#[test]
fn a_window_scale_is_14_at_most() {
    let scale = |options: &[u8]| tcp(&with_options(options)).window_scale();
    assert_eq!(scale(&[2, 4, 5, 180, 1, 3, 3, 7]), Some(7));
    assert_eq!(scale(&[3, 3, 200, 0]), Some(14));
    assert_eq!(scale(&MSS), None);
    assert_eq!(scale(&[3, 4, 7, 7]), None, "another length is another option");
}

#[test]
fn urgent_data_ends_where_the_pointer_says_if_the_flag_is_set() {
    let mut frame = build::tcp(
        v4(),
        &Segment {
            seq: u32::MAX,
            flags: flag::URG,
            ..Segment::default()
        },
    );
    frame[53] = 3;
    assert_eq!(tcp(&frame).urgent_end(), Some(2));
    frame[47] = flag::ACK;
    assert_eq!(tcp(&frame).urgent_end(), None);
}
