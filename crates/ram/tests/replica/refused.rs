//! What is no checkpoint, or not all of one.

use colo_ram::{Error, PAGE, PAGES, PageSet, Received, STATE_END, Why};

use crate::world::*;

#[test]
fn a_first_checkpoint_that_leaves_pages_open_is_refused() {
    let mut pair = Pair::new();
    pair.precopy(&pages(&[0, 1, 2]));
    let sent = pair.checkpoint(1, &(2..COUNT - 1).collect::<Vec<_>>(), b"d");
    let (last, rest) = sent.split_last().unwrap();
    pair.send(rest);
    assert_eq!(
        pair.replica.receive(last.0, &last.1).unwrap_err().why,
        Why::NotWhole(1)
    );
    assert!(matches!(
        pair.replica.apply(1, &PageSet::new(COUNT)),
        Err(Error::NotReady { .. })
    ));
}

#[test]
fn a_checkpoint_that_leaves_one_out_is_refused() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[1], b"d");
    pair.send(&sent);
    let sent = pair.checkpoint(3, &[1], b"d");
    let damaged = pair.replica.receive(sent[0].0, &sent[0].1).unwrap_err();
    assert_eq!(
        (damaged.checkpoint, damaged.why),
        (3, Why::NotNext { after: Some(1) })
    );
    assert_eq!(pair.send(&sent[1..2]), Received::Dropped);
}

#[test]
fn after_a_lost_precopy_message_nothing_counts_as_copied() {
    let mut pair = Pair::precopied();
    assert_eq!(pair.replica.receive(PAGES, &[0; 11]).unwrap_err().checkpoint, 0);
    pair.write(&[1], 200);
    let sent = pair.checkpoint(1, &[1], b"d");
    let (last, rest) = sent.split_last().unwrap();
    pair.send(rest);
    assert_eq!(
        pair.replica.receive(last.0, &last.1).unwrap_err().why,
        Why::NotWhole(COUNT - 1)
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[], &vec![1; 3 << 20]);
    let mut answers = sent
        .iter()
        .map(|(kind, payload)| pair.replica.receive(*kind, payload));
    let first = answers.next().unwrap().unwrap_err();
    assert_eq!(
        first.why,
        Why::Limit(LIMIT as usize),
        "before any memory is taken"
    );
    assert!(answers.all(|answer| answer == Ok(Received::Dropped)));
}

#[test]
fn a_few_bytes_that_would_become_many_are_counted_as_these() {
    let pair = Pair::precopied();
    let block = lz4_flex::block::compress(&[9; PAGE]);
    let mut payload = [1_u64.to_le_bytes().as_slice(), &500_u16.to_le_bytes()].concat();
    for _ in 0..500 {
        payload.extend_from_slice(&3_u64.to_le_bytes());
        payload.push(3);
        payload.extend_from_slice(&(block.len() as u16).to_le_bytes());
        payload.extend_from_slice(&block);
    }
    assert!(payload.len() < 20_000);
    assert_eq!(
        pair.replica.receive(PAGES, &payload).unwrap_err().why,
        Why::Limit(LIMIT as usize)
    );
}

#[test]
fn a_delta_of_a_page_that_the_secondary_has_otherwise_is_found_out() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[1], b"d");
    pair.send(&sent);
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    let before = pair.replica.cache_hash().unwrap();

    // A checkpoint that the secondary never gets, and after which the primary wrongly goes on.
    pair.pvm.write_page(5, &[77; PAGE]).unwrap();
    pair.checkpoint(2, &[5], b"d");
    let mut page = [77; PAGE];
    page[9] = 1;
    pair.pvm.write_page(5, &page).unwrap();
    let sent = pair.checkpoint(2, &[5], b"d");
    let (last, rest) = sent.split_last().unwrap();
    pair.send(rest);
    assert_eq!(
        pair.replica.receive(last.0, &last.1).unwrap_err().why,
        Why::Checksum
    );
    assert_eq!(pair.replica.cache_hash().unwrap(), before);
    assert!(matches!(
        pair.replica.apply(2, &PageSet::new(COUNT)),
        Err(Error::NotReady { .. })
    ));
}

#[test]
fn a_round_of_precopy_that_is_not_what_was_sent_is_refused() {
    let pair = Pair::new();
    let mut sent = messages(pair.live(&PageSet::all(COUNT)));
    let (kind, mut end) = sent.pop().unwrap();
    assert_eq!(kind, STATE_END);
    *end.last_mut().unwrap() ^= 1;
    assert_eq!(pair.send(&sent), Received::Stored);
    let refused = pair.replica.receive(kind, &end).unwrap_err();
    assert_eq!((refused.checkpoint, refused.why), (0, Why::Checksum));
}

/// What becomes of these pages as the first that a replica gets.
fn why(payload: Vec<u8>) -> Result<Received, Why> {
    let received = Pair::new().replica.receive(PAGES, &payload);
    received.map_err(|damaged| damaged.why)
}

#[test]
fn twins_of_pages_that_have_not_come_or_in_a_checkpoint_are_refused() {
    let twin = |checkpoint: u64, other: u64| {
        let mut payload = checkpoint.to_le_bytes().to_vec();
        payload.extend_from_slice(&[2, 0]);
        payload.extend_from_slice(&3_u64.to_le_bytes());
        payload.push(0);
        payload.extend_from_slice(&7_u64.to_le_bytes());
        payload.push(5);
        payload.extend_from_slice(&other.to_le_bytes());
        payload
    };
    assert_eq!(why(twin(0, 3)), Ok(Received::Stored), "it came just before");
    for other in [2, 7, COUNT, u64::MAX] {
        assert!(matches!(why(twin(0, other)), Err(Why::Malformed(_))), "{other}");
    }
    assert!(matches!(why(twin(1, 3)), Err(Why::Malformed(_))));
}

#[test]
fn runs_of_zeros_that_leave_the_ram_or_come_in_a_checkpoint_are_refused() {
    let run = |checkpoint: u64, first: u64, count: u32| {
        let mut payload = checkpoint.to_le_bytes().to_vec();
        payload.extend_from_slice(&[1, 0]);
        payload.extend_from_slice(&first.to_le_bytes());
        payload.push(4);
        payload.extend_from_slice(&count.to_le_bytes());
        payload
    };
    assert_eq!(why(run(0, 0, COUNT as u32)), Ok(Received::Stored));
    assert_eq!(why(run(0, 1, COUNT as u32)), Err(Why::NoSuchPage(1)));
    assert_eq!(why(run(0, u64::MAX, 2)), Err(Why::NoSuchPage(u64::MAX)));
    assert!(matches!(why(run(0, 1, 0)), Err(Why::Malformed(_))));
    assert!(matches!(why(run(1, 0, 2)), Err(Why::Malformed(_))));
}
