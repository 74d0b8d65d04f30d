//! Frames of a card without offloads on their way to a tap: what follows each other goes as one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use colo_packet::build::{Segment, set_id, tcp};
use colo_packet::{Offload, flag};
use common::*;
use std::io::{Read, Write};

const WHOLE: [u8; Offload::LEN] = [0; Offload::LEN];

fn pair() -> Pair {
    protected_as(linked_as(Side::on_a_tap(), Side::new(config())))
}

fn segment(number: u32) -> Vec<u8> {
    let segment = Segment {
        seq: 1000 + 500 * number,
        ack: 7,
        flags: flag::ACK,
        window: 9,
        payload: &[number as u8; 500],
        ..Segment::default()
    };
    let mut frame = tcp(route(), &segment);
    set_id(&mut frame, 14, number as u16);
    frame
}

fn put_raw(side: &Side, header: [u8; Offload::LEN], frame: &[u8]) {
    (&side.uplink).write_all(&[&header, frame].concat()).unwrap();
}

/// Header and frame of what comes next.
fn get_raw(side: &Side) -> ([u8; Offload::LEN], Vec<u8>) {
    side.uplink.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = vec![0; 70_000];
    let count = (&side.uplink).read(&mut bytes).unwrap();
    let (header, frame) = bytes[..count].split_first_chunk().unwrap();
    (*header, frame.to_vec())
}

#[test]
fn what_becomes_free_at_once_goes_as_one_frame_to_be_cut() {
    let pair = pair();
    (0..40).for_each(|number| put(&pair.p.vm, &segment(number)));
    pair.p.await_stat("primary_frames", |count| count == 40);
    pair.checkpoint(2);
    let (header, frame) = get_raw(&pair.p);
    assert_eq!(header, [1, 1, 54, 0, 0xf4, 1, 34, 0, 16, 0, 0, 0]);
    let payload: Vec<_> = (0..40).flat_map(|number| [number; 500]).collect();
    assert_eq!(frame[54..], payload);
    assert_eq!(pair.p.stat("frames_out"), 40, "counted as the VM sent them");
    put(&pair.p.vm, &answer("alone"));
    put(&pair.s.vm, &answer("alone"));
    assert_eq!(get_raw(&pair.p), (WHOLE, answer("alone")));
}

#[test]
fn nothing_that_waits_leaves_with_what_may_go() {
    let pair = pair();
    (0..3).for_each(|number| put(&pair.p.vm, &segment(number)));
    (0..2).for_each(|number| put(&pair.s.vm, &segment(number)));
    let mut came = 0;
    while came < 2 * 500 {
        came += get_raw(&pair.p).1.len() - 54;
    }
    assert_eq!(came, 2 * 500);
    pair.p.uplink.set_read_timeout(Some(QUIET)).unwrap();
    assert!((&pair.p.uplink).read(&mut [0; 2000]).is_err());
}

#[test]
fn what_a_card_without_offloads_cannot_be_given_is_counted_and_dropped() {
    let pair = pair();
    put_raw(&pair.p, [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0], &segment(0));
    put_raw(&pair.p, [0xff; Offload::LEN], &segment(0));
    (&pair.p.uplink).write_all(b"short").unwrap();
    pair.p.await_stat("bad_headers", |count| count == 3);
    put_raw(&pair.p, WHOLE, &request("good"));
    let summed = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    put_raw(&pair.p, summed, &request("found right by the kernel"));
    for vm in [&pair.p.vm, &pair.s.vm] {
        assert_eq!(get(vm), request("good"));
        assert_eq!(get(vm), request("found right by the kernel"));
        quiet(vm);
    }
}
