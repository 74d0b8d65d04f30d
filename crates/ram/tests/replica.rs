//! A primary's RAM and the replica that follows it, through the payloads of the link, whole and damaged.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy knows only functions marked as tests"
)]

use std::os::fd::AsFd;

use colo_ram::{
    BulkSource, DEVICE, Error, GuestRam, LivePages, PAGE, PAGES, PageSet, Received, Replica, STATE_END,
    Staging, Why,
};
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

const COUNT: u64 = 50;
const LIMIT: u64 = 1 << 20;

fn ram() -> GuestRam {
    let file = memfd_create("ram", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, COUNT * PAGE as u64).unwrap();
    GuestRam::new(file.as_fd(), COUNT * PAGE as u64).unwrap()
}

fn pages(numbers: &[u64]) -> PageSet {
    let mut set = PageSet::new(COUNT);
    numbers.iter().for_each(|page| set.insert(*page).unwrap());
    set
}

fn messages(mut source: impl BulkSource) -> Vec<(u8, Vec<u8>)> {
    std::iter::from_fn(|| {
        let mut payload = Vec::new();
        source.next(&mut payload).map(|kind| (kind, payload))
    })
    .collect()
}

/// A primary's RAM with its staging, a secondary's RAM with its replica.
struct Pair {
    pvm: GuestRam,
    staging: Staging,
    svm: GuestRam,
    replica: Replica,
}

impl Pair {
    fn new() -> Self {
        let (pvm, svm) = (ram(), ram());
        for page in 0..COUNT {
            pvm.write_page(page, &[page as u8; PAGE]).unwrap();
        }
        let (staging, replica) = (
            Staging::new(&pvm, LIMIT).unwrap(),
            Replica::new(&svm, LIMIT).unwrap(),
        );
        Self {
            pvm,
            staging,
            svm,
            replica,
        }
    }

    /// One that has the whole RAM before any checkpoint.
    fn precopied() -> Self {
        let pair = Self::new();
        for (kind, payload) in messages(LivePages::new(pair.pvm.clone(), PageSet::all(COUNT))) {
            assert_eq!(pair.replica.receive(kind, &payload), Ok(Received::Stored));
        }
        pair
    }

    fn write(&self, numbers: &[u64], value: u8) {
        numbers
            .iter()
            .for_each(|page| self.pvm.write_page(*page, &[value; PAGE]).unwrap());
    }

    fn checkpoint(&mut self, number: u64, numbers: &[u64], device: &[u8]) -> Vec<(u8, Vec<u8>)> {
        self.staging.gather(&pages(numbers)).unwrap();
        messages(self.staging.source(number, device.to_vec()))
    }

    /// Sends all; the answer to the last.
    fn send(&self, messages: &[(u8, Vec<u8>)]) -> Received {
        let mut answers = messages
            .iter()
            .map(|(kind, payload)| self.replica.receive(*kind, payload).unwrap());
        answers
            .by_ref()
            .take(messages.len() - 1)
            .for_each(|answer| assert_eq!(answer, Received::Stored));
        answers.next().unwrap()
    }
}

#[test]
fn precopy_and_first_checkpoint_make_the_svm_an_exact_copy() {
    let mut pair = Pair::precopied();
    pair.write(&[3, 49], 200);
    let sent = pair.checkpoint(1, &[3, 49], b"device");
    assert_eq!(
        sent.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [PAGES, DEVICE, STATE_END]
    );
    pair.write(&[3], 201); // in the next epoch: must not be seen
    assert!(matches!(
        pair.send(&sent),
        Received::Complete {
            checkpoint: 1,
            pages: 2,
            ..
        }
    ));
    assert_eq!(pair.replica.device(1).unwrap(), b"device");
    assert_eq!(pair.replica.apply(1, &PageSet::new(COUNT)).unwrap(), COUNT);
    assert_eq!(pair.replica.device(1).unwrap(), b"device");
    pair.write(&[3], 200);
    assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
}

#[test]
fn the_first_checkpoint_may_bring_everything_itself() {
    let mut pair = Pair::new();
    let sent = pair.checkpoint(1, &(0..COUNT).collect::<Vec<_>>(), b"d");
    assert!(matches!(
        pair.send(&sent),
        Received::Complete {
            checkpoint: 1,
            pages: COUNT,
            ..
        }
    ));
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
}

#[test]
fn a_first_checkpoint_that_leaves_pages_open_is_refused() {
    let mut pair = Pair::new();
    for (kind, payload) in messages(LivePages::new(pair.pvm.clone(), pages(&[0, 1, 2]))) {
        pair.replica.receive(kind, &payload).unwrap();
    }
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
fn what_the_svm_wrote_is_undone_by_apply_and_by_restore() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[1], b"d");
    pair.send(&sent);
    assert!(matches!(
        pair.replica.restore(&pages(&[1])),
        Err(Error::NotReady { .. })
    ));
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    pair.svm.write_page(7, &[99; PAGE]).unwrap();
    pair.write(&[8], 33);
    let sent = pair.checkpoint(2, &[8], b"d");
    pair.send(&sent);
    assert_eq!(pair.replica.apply(2, &pages(&[7, 8])).unwrap(), 2);
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
    pair.svm.write_page(0, &[98; PAGE]).unwrap();
    assert_eq!(pair.replica.restore(&pages(&[0])).unwrap(), 1);
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
    let mut too_large = PageSet::new(COUNT + 1);
    too_large.insert(COUNT).unwrap();
    assert!(matches!(
        pair.replica.restore(&too_large),
        Err(Error::OutOfRange { .. })
    ));
}

#[test]
fn an_svm_that_rests_gets_what_was_stored_meanwhile_at_once() {
    let mut pair = Pair::precopied();
    for number in 1..=4 {
        pair.write(&[number, 20], 100 + number as u8);
        let sent = pair.checkpoint(number, &[number, 20], &[number as u8]);
        pair.send(&sent);
        let before = pair.svm.hash().unwrap();
        pair.replica.store(number).unwrap();
        assert_eq!(pair.svm.hash().unwrap(), before, "the SVM is not touched");
        assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
        if number == 1 {
            pair.replica.restore(&PageSet::new(COUNT)).unwrap();
            pair.svm.write_page(30, &[99; PAGE]).unwrap(); // it ran, then came to rest
        }
    }
    assert_eq!(pair.replica.device(4).unwrap(), [4]);
    assert_eq!(
        pair.replica.restore(&pages(&[30])).unwrap(),
        5,
        "2, 3, 4, 20 and 30"
    );
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
    assert_eq!(pair.replica.restore(&PageSet::new(COUNT)).unwrap(), 0);
}

#[test]
fn receiving_changes_neither_cache_nor_svm_until_apply() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[1], b"d");
    pair.send(&sent);
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    let before = (
        pair.replica.cache_hash().unwrap(),
        pair.replica.ram_hash().unwrap(),
    );
    pair.write(&[1, 2, 3], 123);
    let sent = pair.checkpoint(2, &[1, 2, 3], b"d2");
    pair.send(&sent);
    assert_eq!(
        (
            pair.replica.cache_hash().unwrap(),
            pair.replica.ram_hash().unwrap()
        ),
        before
    );
    pair.replica.forget(2);
    assert!(pair.replica.device(2).is_err());
    assert!(matches!(
        pair.replica.apply(2, &PageSet::new(COUNT)),
        Err(Error::NotReady { .. })
    ));
    assert!(
        matches!(pair.send(&sent), Received::Complete { checkpoint: 2, .. }),
        "it may be sent again"
    );
}

#[test]
fn two_whole_checkpoints_may_wait_and_are_applied_in_order() {
    let mut pair = Pair::precopied();
    for number in 1..=2 {
        pair.write(&[5], 100 + number as u8);
        let sent = pair.checkpoint(number, &[5], &[number as u8]);
        pair.send(&sent);
    }
    let early = pair.replica.apply(2, &PageSet::new(COUNT));
    assert!(
        matches!(
            early,
            Err(Error::NotReady {
                asked: 2,
                ready: Some(1)
            })
        ),
        "{early:?}"
    );
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    pair.replica.apply(2, &PageSet::new(COUNT)).unwrap();
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
    assert_eq!(pair.replica.device(2).unwrap(), [2]);
    assert!(pair.replica.device(1).is_err());
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
fn precopy_never_touches_the_cache_of_a_whole_checkpoint() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[1], b"d");
    pair.send(&sent);
    let (kind, late) = messages(LivePages::new(ram(), PageSet::all(COUNT))).remove(0);
    assert_eq!(
        pair.replica.receive(kind, &late).unwrap_err().why,
        Why::LatePrecopy(1)
    );
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
}

#[test]
fn after_a_lost_precopy_message_nothing_counts_as_copied() {
    let mut pair = Pair::precopied();
    assert_eq!(pair.replica.receive(PAGES, &[0; 11]).unwrap_err().checkpoint, 0);
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
    let answers: Vec<_> = sent
        .iter()
        .map(|(kind, payload)| pair.replica.receive(*kind, payload))
        .collect();
    let first = answers.iter().position(Result::is_err).unwrap();
    assert!(
        (first as u64 + 1) * 65536 >= LIMIT - 65536,
        "refused too early, at message {first}"
    );
    assert_eq!(answers[first].unwrap_err().why, Why::Limit(LIMIT as usize));
    assert!(
        answers[first + 1..]
            .iter()
            .all(|answer| *answer == Ok(Received::Dropped))
    );
    let sent = pair.checkpoint(1, &[1], b"small");
    assert!(matches!(
        pair.send(&sent),
        Received::Complete { checkpoint: 1, .. }
    ));
}

/// What can happen to the messages of a checkpoint.
#[derive(Debug, Clone)]
enum Harm {
    Flip {
        message: prop::sample::Index,
        byte: prop::sample::Index,
        bit: u8,
    },
    Cut {
        message: prop::sample::Index,
        byte: prop::sample::Index,
    },
    Lose {
        message: prop::sample::Index,
    },
    Swap {
        message: prop::sample::Index,
    },
    Repeat {
        message: prop::sample::Index,
    },
}

fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), index(), 0..8u8).prop_map(|(message, byte, bit)| Harm::Flip { message, byte, bit }),
        (index(), index()).prop_map(|(message, byte)| Harm::Cut { message, byte }),
        index().prop_map(|message| Harm::Lose { message }),
        index().prop_map(|message| Harm::Swap { message }),
        index().prop_map(|message| Harm::Repeat { message }),
    ]
}

fn inflict(harm: &Harm, sent: &mut Vec<(u8, Vec<u8>)>) {
    match harm {
        Harm::Flip { message, byte, bit } => {
            let (_, payload) = message.get_mut(sent);
            let at = byte.index(payload.len());
            payload[at] ^= 1 << bit;
        }
        Harm::Cut { message, byte } => {
            let (_, payload) = message.get_mut(sent);
            payload.truncate(byte.index(payload.len()));
        }
        Harm::Lose { message } => {
            sent.remove(message.index(sent.len()));
        }
        Harm::Swap { message } => {
            let at = message.index(sent.len() - 1);
            sent.swap(at, at + 1);
        }
        Harm::Repeat { message } => {
            let at = message.index(sent.len());
            sent.insert(at, sent[at].clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_series_of_checkpoints_keeps_the_copy_exact(
        epochs in prop::collection::vec(
            (prop::collection::vec((0..COUNT, 0..3u8), 0..60), 0..200_000usize, any::<bool>()), 1..5),
        svm_writes in prop::collection::vec(0..COUNT, 0..20),
    ) {
        let mut pair = Pair::precopied();
        for (number, (writes, device, rest)) in (1..).zip(epochs) {
            writes.iter().for_each(|(page, value)| pair.write(&[*page], *value));
            let numbers: Vec<u64> = writes.iter().map(|(page, _)| *page).collect();
            let sent = pair.checkpoint(number, &numbers, &vec![number as u8; device]);
            let complete = matches!(pair.send(&sent), Received::Complete { checkpoint, .. } if checkpoint == number);
            prop_assert!(complete);
            svm_writes.iter().for_each(|page| pair.svm.write_page(*page, &[0xEE; PAGE]).unwrap());
            pair.replica.store(number).unwrap();
            prop_assert_eq!(pair.replica.device(number).unwrap(), vec![number as u8; device]);
            if !rest {
                pair.replica.restore(&pages(&svm_writes)).unwrap();
                prop_assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
            }
            prop_assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_never_complete_and_changes_nothing(
        numbers in prop::collection::vec(0..COUNT, 1..50),
        device in 1..200_000usize,
        harms in prop::collection::vec(harm(), 1..3),
    ) {
        let mut pair = Pair::precopied();
        let first = pair.checkpoint(1, &[], b"first");
        pair.send(&first);
        pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
        let cache = pair.replica.cache_hash().unwrap();
        pair.write(&numbers, 250);
        let whole = pair.checkpoint(2, &numbers, &vec![5; device]);
        let mut sent = whole.clone();
        harms.iter().for_each(|harm| inflict(harm, &mut sent));
        prop_assume!(sent != whole);

        let answers: Vec<_> = sent.iter().map(|(kind, payload)| pair.replica.receive(*kind, payload)).collect();
        let complete = answers.iter().any(|answer| matches!(answer, Ok(Received::Complete { .. })));
        // Harm to a repeated message may leave the series as it was, with something before or behind it.
        prop_assert!(!complete || sent.windows(whole.len()).any(|part| part == whole));
        prop_assert!(complete || !sent.starts_with(&whole));
        prop_assert_eq!(pair.replica.cache_hash().unwrap(), cache);

        pair.replica.forget(2);
        pair.send(&whole);
        pair.replica.apply(2, &PageSet::new(COUNT)).unwrap();
        prop_assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
        prop_assert_eq!(pair.replica.device(2).unwrap(), vec![5; device]);
    }

    #[test]
    fn any_messages_leave_it_standing(noise in prop::collection::vec((5..10u8, prop::collection::vec(0..4u8, 0..60)), 0..40)) {
        let pair = Pair::precopied();
        for (kind, payload) in noise {
            let _ = pair.replica.receive(kind, &payload);
        }
    }
}
