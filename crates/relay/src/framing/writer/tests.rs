//! Both directions over a real socket.

use super::*;
use crate::framing::{BadLength, Fill, FrameReader};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn pair() -> (UnixStream, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (one, other)
}

fn read_frames(reader: &mut FrameReader, fd: &UnixStream) -> Result<Vec<Vec<u8>>, BadLength> {
    let mut frames = Vec::new();
    while reader.fill(fd).unwrap() == Fill::Bytes {
        while let Some(frame) = reader.next_frame()? {
            frames.push(frame.to_vec());
        }
    }
    Ok(frames)
}

proptest! {
    #[test]
    fn frames_survive_any_cutting(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..30),
        cuts in prop::collection::vec(1..5000_usize, 1..10),
    ) {
        let (mut source, sink) = pair();
        let mut wire = Vec::new();
        for frame in &frames {
            wire.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            wire.extend_from_slice(frame);
        }
        let (mut reader, mut seen, mut rest) = (FrameReader::default(), Vec::new(), wire.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            source.write_all(piece).unwrap();
            seen.extend(read_frames(&mut reader, &sink).unwrap());
            rest = later;
        }
        prop_assert_eq!(seen, frames);
    }

    #[test]
    fn arbitrary_bytes_are_frames_or_an_error(bytes in prop::collection::vec(prop_oneof![0..3_u8, any::<u8>()], 0..300)) {
        let (mut source, sink) = pair();
        source.write_all(&bytes).unwrap();
        let _ = read_frames(&mut FrameReader::default(), &sink);
    }

    #[test]
    fn clearing_in_the_middle_of_a_frame_keeps_the_stream_in_step(taken in 1..60_000_usize) {
        let (source, mut sink) = pair();
        let mut writer = FrameWriter::default();
        for fill in 0..40 {
            writer.push(&[fill; 2000]);
        }
        // The socket takes a part; the reader has read any part of that.
        writer.advance(taken, |_| ());
        let mut head = vec![];
        for fill in 0..40_u8 {
            head.extend_from_slice(&2000_u32.to_be_bytes());
            head.extend_from_slice(&[fill; 2000]);
        }
        head.truncate(taken);
        writer.clear();
        writer.push(b"later");
        while writer.waiting() > 0 {
            prop_assert!(writer.write_to(&source, |_| ()).unwrap());
        }
        let mut wire = head;
        let _ = sink.read_to_end(&mut wire);
        let (mut again, check) = pair();
        again.write_all(&wire).unwrap();
        let frames = read_frames(&mut FrameReader::default(), &check).unwrap();
        let whole = taken.div_ceil(2004);
        prop_assert_eq!(frames.len(), whole + 1);
        prop_assert_eq!(frames.last().unwrap(), b"later");
    }

    #[test]
    fn the_last_frames_sent_are_kept(
        sizes in prop::collection::vec(1..3000_usize, 1..200),
        taken in any::<prop::sample::Index>(),
        count in 0..60_000_usize,
    ) {
        const KEPT: usize = 50_000;
        let frames: Vec<_> = sizes.iter().enumerate().map(|(fill, size)| vec![fill as u8; *size]).collect();
        let mut writer = FrameWriter::keeping(KEPT);
        let mut begun = 0;
        for frame in &frames {
            writer.push(frame);
            let some = taken.index(writer.waiting() + 1);
            writer.advance(some, |_| begun += 1);
        }
        let kept: Vec<_> = writer.last(count).map(<[u8]>::to_vec).collect();
        let (mut bytes, mut wanted) = (0, begun);
        while wanted > 0 && bytes < count.min(KEPT) {
            wanted -= 1;
            bytes += frames[wanted].len() + HEADER;
        }
        prop_assert!(kept.len() >= begun - wanted);
        prop_assert_eq!(&kept[..], &frames[begun - kept.len()..begun]);
        prop_assert!(writer.bytes.len() - writer.waiting() <= KEPT + COMPACT_AT + 2 * 3004);
    }
}

#[test]
fn only_what_was_begun_is_finished() {
    let (source, sink) = pair();
    let mut writer = FrameWriter::default();
    writer.push(b"one");
    writer.push(b"two");
    writer.advance(1, |_| ());
    assert_eq!(writer.begun(), HEADER + 2);
    assert!(writer.finish(&source).unwrap());
    assert_eq!((writer.begun(), writer.waiting()), (0, HEADER + 3));
    assert_eq!(writer.begin_one(), Some(&b"two"[..]));
    assert_eq!(writer.begin_one(), None);
    assert!(writer.finish(&source).unwrap());
    assert_eq!(writer.waiting(), 0);
    let mut wire = [0; 20];
    assert_eq!((&sink).read(&mut wire).unwrap(), 2 * (HEADER + 3) - 1);
}

#[test]
fn lengths_of_zero_and_beyond_the_longest_frame_are_refused() {
    for length in [0, MAX_FRAME as u32 + 1, u32::MAX] {
        let (mut source, sink) = pair();
        source.write_all(&length.to_be_bytes()).unwrap();
        assert_eq!(
            read_frames(&mut FrameReader::default(), &sink),
            Err(BadLength(length))
        );
    }
}
