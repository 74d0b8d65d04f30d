//! The codec: what goes in comes out, whatever the cuts; arbitrary bytes never do harm.

use colo_link::{DecodeError, Decoder, MAX_FRAME, MAX_PAYLOAD, Message, Outgoing};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Owned {
    FrameIn(u8, Vec<u8>),
    FrameOut(u8, u64, Vec<u8>),
    Isn(u8, Vec<u8>, u32),
    Cut(u64),
    Control(Vec<u8>),
    Pages(Vec<u8>),
    Heartbeat(u64, u64),
    IsnAck(u64),
    Translations(Vec<u8>),
}

impl Owned {
    fn view(&self) -> Message<'_> {
        match self {
            Self::FrameIn(nic, frame) => Message::FrameIn { nic: *nic, frame },
            Self::FrameOut(nic, epoch, frame) => Message::FrameOut {
                nic: *nic,
                epoch: *epoch,
                frame,
            },
            Self::Isn(nic, flow, isn) => Message::Isn {
                nic: *nic,
                flow,
                isn: *isn,
            },
            Self::Cut(checkpoint) => Message::Cut {
                checkpoint: *checkpoint,
            },
            Self::Control(bytes) => Message::Control(bytes),
            Self::Pages(bytes) => Message::Pages(bytes),
            Self::Heartbeat(progress, boottime) => Message::Heartbeat {
                progress: *progress,
                boottime: *boottime,
            },
            Self::IsnAck(count) => Message::IsnAck { count: *count },
            Self::Translations(bytes) => Message::Translations(bytes),
        }
    }
}

fn message() -> impl Strategy<Value = Owned> {
    let bytes = |low, high| prop::collection::vec(any::<u8>(), low..high);
    prop_oneof![
        (any::<u8>(), bytes(1, 1600)).prop_map(|(nic, frame)| Owned::FrameIn(nic, frame)),
        (any::<u8>(), any::<u64>(), bytes(1, 1600))
            .prop_map(|(nic, epoch, frame)| Owned::FrameOut(nic, epoch, frame)),
        (any::<u8>(), bytes(1, 64), any::<u32>()).prop_map(|(nic, flow, isn)| Owned::Isn(nic, flow, isn)),
        any::<u64>().prop_map(Owned::Cut),
        bytes(0, 300).prop_map(Owned::Control),
        bytes(0, 5000).prop_map(Owned::Pages),
        (any::<u64>(), any::<u64>()).prop_map(|(progress, boottime)| Owned::Heartbeat(progress, boottime)),
        any::<u64>().prop_map(Owned::IsnAck),
        bytes(0, 300).prop_map(Owned::Translations),
    ]
}

/// Feeds `bytes` in pieces of the given sizes (repeated) and counts the messages until an error or the end.
fn feed(bytes: &[u8], pieces: &[usize], mut each: impl FnMut(Message<'_>)) -> Result<(), DecodeError> {
    let mut decoder = Decoder::default();
    let mut rest = bytes;
    for size in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        decoder.push(piece);
        while let Some(found) = decoder.next_message()? {
            each(found);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn messages_survive_any_cutting(
        messages in prop::collection::vec(message(), 1..20),
        pieces in prop::collection::vec(1..4000_usize, 1..8),
    ) {
        let mut bytes = Vec::new();
        for each in &messages {
            each.view().encode(&mut bytes);
        }
        let mut expected = messages.iter();
        feed(&bytes, &pieces, |found| assert_eq!(Some(found), expected.next().map(Owned::view))).unwrap();
        prop_assert!(expected.next().is_none());
    }

    #[test]
    fn arbitrary_bytes_give_the_same_whatever_the_cutting(
        bytes in prop::collection::vec(prop_oneof![0..12_u8, any::<u8>()], 0..400),
        pieces in prop::collection::vec(1..40_usize, 1..8),
    ) {
        let (mut whole, mut cut) = (0, 0);
        let one = feed(&bytes, &[bytes.len().max(1)], |_| whole += 1);
        let other = feed(&bytes, &pieces, |_| cut += 1);
        prop_assert_eq!(one, other);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn urgent_messages_leave_in_order_and_never_inside_bulk(
        messages in prop::collection::vec(message(), 1..20),
        bulk in prop::collection::vec(1..3000_usize, 0..10),
        together in 1..5_usize,
    ) {
        let mut queue = Outgoing::new(1 << 20);
        let mut sizes = bulk.iter();
        let mut wire = Vec::new();
        for group in messages.chunks(together) {
            for each in group {
                queue.push(&each.view()).unwrap();
            }
            let mut pull = |out: &mut Vec<u8>| sizes.next().map(|size| { out.resize(out.len() + size, 7); 7 });
            wire.extend_from_slice(queue.next_chunk(&mut pull));
            wire.extend_from_slice(queue.next_chunk(&mut pull));
        }
        loop {
            let chunk = queue.next_chunk(&mut |_| None);
            if chunk.is_empty() { break }
            wire.extend_from_slice(chunk);
        }
        let mut expected = messages.iter();
        feed(&wire, &[wire.len()], |found| match found {
            Message::Device(payload) => assert!(payload.iter().all(|byte| *byte == 7)),
            urgent => assert_eq!(Some(urgent), expected.next().map(Owned::view)),
        }).unwrap();
        prop_assert!(expected.next().is_none());
    }
}

fn raw(kind: u8, length: u32, payload: usize) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.resize(bytes.len() + payload, 0);
    bytes
}

#[test]
fn a_length_over_the_limit_is_refused_before_its_bytes_arrive_and_for_good() {
    let mut decoder = Decoder::default();
    decoder.push(&raw(5, MAX_PAYLOAD as u32 + 1, 0));
    let error = DecodeError::TooLong {
        kind: 5,
        length: MAX_PAYLOAD as u32 + 1,
    };
    assert_eq!(decoder.next_message(), Err(error));
    decoder.push(&raw(5, 0, 0));
    assert_eq!(decoder.next_message(), Err(error));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (kind, length) in [
        (1, 1),
        (1, MAX_FRAME + 2),
        (2, 9),
        (3, 5),
        (3, 70),
        (4, 7),
        (9, 15),
        (9, 17),
        (10, 9),
    ] {
        let mut decoder = Decoder::default();
        decoder.push(&raw(kind, length as u32, length));
        assert_eq!(
            decoder.next_message(),
            Err(DecodeError::BadShape { kind, length }),
            "type {kind}"
        );
    }
    assert_eq!(Message::parse(12, &[]), Err(DecodeError::UnknownType(12)));
}

#[test]
fn the_longest_frame_fits() {
    let frame = vec![1; MAX_FRAME];
    let mut bytes = Vec::new();
    Message::FrameIn {
        nic: 0,
        frame: &frame,
    }
    .encode(&mut bytes);
    let mut seen = 0;
    feed(&bytes, &[1000], |found| {
        assert_eq!(
            found,
            Message::FrameIn {
                nic: 0,
                frame: &frame
            }
        );
        seen += 1;
    })
    .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn the_urgent_queue_refuses_at_its_limit() {
    let mut queue = Outgoing::new(100);
    let message = Message::Control(&[0; 60]);
    assert!(queue.push(&message).is_ok());
    assert!(queue.push(&message).is_ok());
    assert_eq!(queue.push(&message).unwrap_err().limit, 100);
    assert_eq!(queue.next_chunk(&mut |_| None).len(), 130);
    assert!(queue.push(&message).is_ok());
}
