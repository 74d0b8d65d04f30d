//! The link's decoder: any bytes, cut in any way, are the same messages and then, at most, one error.
#![no_main]

use colo_link::{Decoder, HEADER, Message};
use colo_packet::FlowKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (cuts, wire) = input;
    let (whole, cut) = (decode(&[], wire), decode(&cuts, wire));
    assert_eq!(whole, cut, "the cuts make a difference");
    assert!(wire.starts_with(&whole.0), "a message is not what was sent");
});

/// All messages, encoded again, and how it ended.
fn decode(cuts: &[u8], wire: &[u8]) -> (Vec<u8>, Option<String>) {
    let (mut decoder, mut again, mut rest) = (Decoder::default(), Vec::new(), wire);
    let mut cuts = cuts.iter();
    while !rest.is_empty() {
        let length = cuts
            .next()
            .map_or(rest.len(), |cut| usize::from(*cut).min(rest.len()));
        let (now, later) = rest.split_at(length);
        decoder.push(now);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => take(message, &mut again),
                Ok(None) => break,
                Err(error) => {
                    assert!(decoder.next_message().is_err(), "it must stay failed");
                    return (again, Some(error.to_string()));
                }
            }
        }
        rest = later;
    }
    (again, None)
}

fn take(message: Message<'_>, again: &mut Vec<u8>) {
    let start = again.len();
    message.encode(again);
    assert!(again.len() >= start + HEADER);
    if let Message::Isn { flow, .. } = message
        && let Some(key) = FlowKey::decode(flow)
    {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        assert_eq!(bytes, flow);
        assert!(!key.to_string().is_empty());
    }
}
