//! Checkpoints in order.

use colo_ram::{
    BlankPages, BulkSource, DEVICE, Error, PAGE, PAGES, PageSet, Received, STATE_END, Tally, Why,
};

use crate::world::*;

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
fn precopy_never_touches_the_cache_of_a_whole_checkpoint() {
    let mut pair = Pair::precopied();
    let sent = pair.checkpoint(1, &[1], b"d");
    pair.send(&sent);
    let (kind, late) = messages(pair.live(&PageSet::all(COUNT))).remove(0);
    assert_eq!(
        pair.replica.receive(kind, &late).unwrap_err().why,
        Why::LatePrecopy(1)
    );
    pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
}

#[test]
fn pages_that_nobody_touched_are_told_in_runs_and_stay_untouched() {
    let mut pair = Pair::new();
    let (blank, rest) = (
        pages(&[0, 3, 4, 5, 40, COUNT - 1]),
        (0..COUNT).collect::<Vec<_>>(),
    );
    blank.runs().flatten().for_each(|page| pair.write(&[page], 0));
    pair.svm.write_page(4, &[7; PAGE]).unwrap();
    let mut tally = Tally::default();
    let mut source = BlankPages::new(&blank, &pair.encoder);
    let mut payload = Vec::new();
    while let Some(kind) = source.next(&mut payload, &mut tally) {
        assert_eq!(pair.replica.receive(kind, &payload), Ok(Received::Stored));
        payload.clear();
    }
    assert_eq!((tally.zero, tally.pages()), (6, 6));
    assert_eq!(tally.sent_bytes, 10 + 4 * (8 + 1 + 4) + 32);
    pair.precopy(&pages(&rest).difference(&blank));
    pair.write(&[40], 9);
    let sent = pair.checkpoint(1, &[40], b"d");
    assert!(matches!(
        pair.send(&sent),
        Received::Complete { checkpoint: 1, .. }
    ));
    pair.replica.apply(1, &PageSet::all(COUNT)).unwrap();
    assert_eq!(pair.replica.ram_hash().unwrap(), pair.pvm.hash().unwrap());
    assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
    assert_eq!(
        pair.encoder.shadow_hash().unwrap(),
        Some(pair.pvm.hash().unwrap())
    );
    let untouched = blank.difference(&pages(&[4, 40]));
    assert!(pair.svm.used().unwrap().intersection(&untouched).is_empty());
}
