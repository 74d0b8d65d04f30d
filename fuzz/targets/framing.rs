//! The framing of VM sockets: what is written, cleared and sent in any order is read as whole frames, in order; any
//! bytes are frames or an error.
#![no_main]

use colo_relay::testing::{Fill, FrameReader, FrameWriter};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::io::Write;
use std::os::unix::net::UnixStream;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Reader(Vec<&'a [u8]>),
    Writer(Vec<Step>),
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// A frame of so many bytes, all the same.
    Push(u16, u8),
    Write,
    Clear,
    Read,
}

fuzz_target!(|input: Input<'_>| {
    let (source, sink) = UnixStream::pair().expect("a pair of sockets");
    for end in [&source, &sink] {
        end.set_nonblocking(true).expect("a socket that does not block");
    }
    match input {
        Input::Reader(pieces) => read_any(&source, &sink, &pieces),
        Input::Writer(steps) => write_any(&source, &sink, &steps),
    }
});

fn read_any(mut source: &UnixStream, sink: &UnixStream, pieces: &[&[u8]]) {
    let (mut reader, mut seen, mut wire) = (FrameReader::default(), Vec::new(), Vec::new());
    for piece in pieces {
        source.write_all(piece).expect("less than a socket takes");
        wire.extend_from_slice(piece);
        if !drain(&mut reader, sink, |frame| {
            seen.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            seen.extend_from_slice(frame);
        }) {
            break;
        }
    }
    assert!(wire.starts_with(&seen), "a frame is not what was sent");
}

fn write_any(source: &UnixStream, sink: &UnixStream, steps: &[Step]) {
    let (mut reader, mut writer) = (FrameReader::default(), FrameWriter::default());
    let (mut pushed, mut seen) = (Vec::new(), Vec::new());
    let mut note = |frame: &[u8]| {
        let fill = frame.first().copied().unwrap_or_default();
        assert!(
            frame.iter().all(|byte| *byte == fill),
            "a frame with another's bytes"
        );
        seen.push((frame.len(), fill));
    };
    for step in steps.iter().take(64) {
        match *step {
            Step::Push(length, fill) => {
                writer.push(&vec![fill; usize::from(length)]);
                pushed.push((usize::from(length), fill));
            }
            Step::Write => drop(writer.write_to(source, |_| ()).expect("a peer that lives")),
            Step::Clear => writer.clear(),
            Step::Read => assert!(drain(&mut reader, sink, &mut note), "the stream is out of step"),
        }
    }
    while writer.waiting() > 0 {
        writer.write_to(source, |_| ()).expect("a peer that lives");
        assert!(drain(&mut reader, sink, &mut note), "the stream is out of step");
    }
    assert!(drain(&mut reader, sink, &mut note), "the stream is out of step");
    let mut pushed = pushed.into_iter();
    assert!(
        seen.iter().all(|frame| pushed.any(|sent| sent == *frame)),
        "out of order"
    );
}

/// Hands over all frames; false after an error.
fn drain(reader: &mut FrameReader, sink: &UnixStream, mut each: impl FnMut(&[u8])) -> bool {
    while reader.fill(sink).expect("a peer that lives") == Fill::Bytes {
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => each(frame),
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    true
}
