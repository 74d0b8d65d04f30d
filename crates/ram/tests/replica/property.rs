//! Any sequence, any damage.

use colo_ram::{Encoder, PAGE, PageSet, Received};
use proptest::prelude::*;

use crate::world::*;

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

/// What a harm before this one has already emptied cannot be harmed again.
fn inflict(harm: &Harm, sent: &mut Vec<(u8, Vec<u8>)>) {
    match harm {
        Harm::Flip { message, byte, bit } => {
            let (_, payload) = message.get_mut(sent);
            if !payload.is_empty() {
                let at = byte.index(payload.len());
                payload[at] ^= 1 << bit;
            }
        }
        Harm::Cut { message, byte } => {
            let (_, payload) = message.get_mut(sent);
            if !payload.is_empty() {
                payload.truncate(byte.index(payload.len()));
            }
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

fn writes() -> impl Strategy<Value = Vec<(u64, u8, u8)>> {
    prop::collection::vec((0..COUNT, 0..4u8, any::<u8>()), 0..40)
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
    fn a_damaged_checkpoint_is_never_taken_for_another_and_changes_nothing(
        numbers in prop::collection::vec(0..COUNT, 1..50),
        device in 1..200_000usize,
        touch: bool,
        harms in prop::collection::vec(harm(), 1..3),
    ) {
        let mut pair = Pair::precopied();
        let first = pair.checkpoint(1, &[], b"first");
        pair.send(&first);
        pair.replica.apply(1, &PageSet::new(COUNT)).unwrap();
        let cache = pair.replica.cache_hash().unwrap();
        if touch {
            pair.touch(&numbers, 250);
        } else {
            pair.write(&numbers, 250);
        }
        let whole = pair.checkpoint(2, &numbers, &vec![5; device]);
        let mut sent = whole.clone();
        harms.iter().for_each(|harm| inflict(harm, &mut sent));
        prop_assume!(sent != whole);

        let answers: Vec<_> = sent.iter().map(|(kind, payload)| pair.replica.receive(*kind, payload)).collect();
        let complete = answers.iter().any(|answer| matches!(answer, Ok(Received::Complete { .. })));
        prop_assert!(complete || !sent.starts_with(&whole));
        prop_assert_eq!(pair.replica.cache_hash().unwrap(), cache);
        // What came in another order or twice is the same: it is what it holds that counts.
        if !complete {
            pair.replica.forget(2);
            pair.send(&whole);
        }
        pair.replica.apply(2, &PageSet::new(COUNT)).unwrap();
        prop_assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
        prop_assert_eq!(pair.replica.device(2).unwrap(), vec![5; device]);
    }

    /// The one thing that deltas rest upon.
    #[test]
    fn what_the_primary_thinks_that_the_secondary_has_is_what_it_has(
        with_shadow: bool,
        rounds in prop::collection::vec(writes(), 0..4),
        checkpoints in prop::collection::vec((writes(), any::<[u8; 3]>(), 0..3usize), 1..6),
    ) {
        let mut pair = Pair::new();
        pair.encoder = Encoder::new(&pair.pvm, with_shadow).unwrap();
        pair.precopy(&PageSet::all(COUNT));
        for round in rounds {
            let dirty = pair.change(&round);
            pair.precopy(&pages(&dirty));
        }
        let mut waiting = Vec::new();
        for (number, (writes, device, lag)) in (1..).zip(checkpoints) {
            let dirty = pair.change(&writes);
            let device = device.repeat(1 + usize::from(device[0]) * 40);
            let sent = pair.checkpoint(number, &dirty, &device);
            let complete = matches!(pair.send(&sent), Received::Complete { checkpoint, .. } if checkpoint == number);
            prop_assert!(complete);
            prop_assert_eq!(pair.replica.device(number).unwrap(), device);
            waiting.push(number);
            // Those that wait are what the next one's deltas refer to.
            while waiting.len() > lag {
                pair.replica.store(waiting.remove(0)).unwrap();
            }
            if waiting.is_empty() {
                prop_assert_eq!(pair.replica.cache_hash().unwrap(), pair.pvm.hash().unwrap());
            }
        }
        waiting.into_iter().for_each(|number| { pair.replica.store(number).unwrap(); });
        let cache = pair.replica.cache_hash().unwrap();
        prop_assert_eq!(cache, pair.pvm.hash().unwrap());
        prop_assert_eq!(pair.encoder.shadow_hash().unwrap(), with_shadow.then_some(cache));
    }

    #[test]
    fn any_messages_leave_it_standing(noise in prop::collection::vec((5..10u8, prop::collection::vec(0..4u8, 0..60)), 0..40)) {
        let pair = Pair::precopied();
        for (kind, payload) in noise {
            let _ = pair.replica.receive(kind, &payload);
        }
    }
}
