//! Where the link pulls its bulk messages from, one at a time and only when it has room for one.

use std::sync::Arc;

use crate::Page;
use crate::encoder::Encoder;
use crate::guest_ram::GuestRam;
use crate::page_set::PageSet;
use crate::sender::Sender;
use crate::squeeze::Lz4;
use crate::staged::{Reader, Staged};
use crate::tally::Tally;

/// A finite series of bulk messages, of which the last is a STATE_END.
pub trait BulkSource: Send {
    /// The checkpoint that it sends; 0 is a round of pre-copy.
    fn checkpoint(&self) -> u64;

    /// Appends the next payload to `out`, counts it in, and returns its link message type; `None` at the end, for ever.
    fn next(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> Option<u8>;
}

/// Pre-copy: pages of a running VM, as they are at the moment they are pulled, labelled checkpoint 0.
pub struct LivePages {
    ram: GuestRam,
    sender: Sender,
}

impl LivePages {
    /// These pages of this RAM; pages that the RAM does not have are left out.
    #[must_use]
    pub fn new(ram: GuestRam, pages: &PageSet, encoder: &Encoder, lz4: Lz4) -> Self {
        let pages = pages.intersection(&PageSet::all(ram.pages()));
        Self {
            ram,
            sender: Sender::new(0, pages, encoder, lz4),
        }
    }
}

impl BulkSource for LivePages {
    fn checkpoint(&self) -> u64 {
        0
    }

    fn next(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> Option<u8> {
        let ram = &self.ram;
        let read = |index, page: &mut Page| ram.read_page(index, page);
        self.sender.next(out, tally, read, &mut Vec::new())
    }
}

/// A staged checkpoint: its pages, its device state, its end.
pub struct StagedState {
    staged: Reader,
    device: Vec<u8>,
    sender: Sender,
}

impl StagedState {
    pub(crate) fn new(
        checkpoint: u64,
        staged: Arc<Staged>,
        device: Vec<u8>,
        encoder: &Encoder,
        lz4: Lz4,
    ) -> Self {
        let staged = Reader::new(staged);
        let sender = Sender::new(checkpoint, staged.pages(), encoder, lz4);
        Self {
            staged,
            device,
            sender,
        }
    }
}

impl BulkSource for StagedState {
    fn checkpoint(&self) -> u64 {
        self.sender.checkpoint
    }

    fn next(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> Option<u8> {
        let read = |index, page: &mut Page| self.staged.read(index, page);
        self.sender.next(out, tally, read, &mut self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PAGE;
    use crate::content::Content;
    use crate::guest_ram::tests::ram;
    use crate::payload::{DEVICE, PAGES, Payload, STATE_END};
    use crate::staging::Staging;

    fn all(mut source: impl BulkSource, tally: &mut Tally) -> Vec<(u8, Vec<u8>)> {
        std::iter::from_fn(|| {
            let mut out = Vec::new();
            source.next(&mut out, tally).map(|kind| (kind, out))
        })
        .collect()
    }

    #[test]
    fn live_pages_are_pulled_in_messages_that_are_small_and_have_few_pages() {
        let ram = ram(200);
        (100..150).for_each(|index| ram.write_page(index, &[9; PAGE]).unwrap());
        let encoder = Encoder::new(&ram, false).unwrap();
        let mut tally = Tally::default();
        let sent = all(
            LivePages::new(ram, &PageSet::all(500), &encoder, Lz4::Never),
            &mut tally,
        );
        let sizes: Vec<_> = sent.iter().map(|(_, payload)| payload.len()).collect();
        let whole = 9 + PAGE;
        let expected = [
            10 + 64 * 9,
            10 + 36 * 9 + 15 * whole,
            10 + 15 * whole,
            10 + 15 * whole,
            10 + 5 * whole + 50 * 9,
            32,
        ];
        assert_eq!(sizes, expected);
        assert_eq!((tally.zero, tally.raw, tally.pages()), (150, 50, 200));
        assert_eq!(tally.sent_bytes, expected.iter().sum::<usize>() as u64);
        assert_eq!(sent.last().unwrap().0, STATE_END);
    }

    #[test]
    fn a_payload_is_appended_behind_what_is_there() {
        let (mut out, ram) = (b"head".to_vec(), ram(1));
        let encoder = Encoder::new(&ram, true).unwrap();
        let mut source = LivePages::new(ram, &PageSet::all(1), &encoder, Lz4::Never);
        source.next(&mut out, &mut Tally::default()).unwrap();
        assert_eq!(&out[..4], b"head");
        assert!(Payload::parse(PAGES, &out[4..]).is_ok());
    }

    /// How these pages of the RAM went.
    fn copied(ram: &GuestRam, pages: &PageSet, encoder: &Encoder) -> Tally {
        let mut tally = Tally::default();
        all(
            LivePages::new(ram.clone(), pages, encoder, Lz4::Never),
            &mut tally,
        );
        tally
    }

    #[test]
    fn in_the_first_copy_a_page_that_the_secondary_has_as_another_one_is_told_by_its_number() {
        let ram = ram(200);
        (0..200).for_each(|index| ram.write_page(index, &[1 + (index % 20) as u8; PAGE]).unwrap());
        for (with_shadow, twin, raw) in [(true, 180, 20), (false, 0, 200)] {
            let encoder = Encoder::new(&ram, with_shadow).unwrap();
            let tally = copied(&ram, &PageSet::all(200), &encoder);
            assert_eq!((tally.twin, tally.raw, tally.pages()), (twin, raw, 200));
        }
    }

    #[test]
    fn what_was_sent_again_with_another_content_has_no_twins_any_more() {
        let ram = ram(3);
        let encoder = Encoder::new(&ram, true).unwrap();
        let set = |index: u64| PageSet::all(index + 1).difference(&PageSet::all(index));
        ram.write_page(0, &[7; PAGE]).unwrap();
        assert_eq!(copied(&ram, &set(0), &encoder).raw, 1);
        ram.write_page(0, &[8; PAGE]).unwrap();
        copied(&ram, &set(0), &encoder);
        ram.write_page(1, &[7; PAGE]).unwrap();
        assert_eq!(copied(&ram, &set(1), &encoder).raw, 1);
        ram.write_page(2, &[7; PAGE]).unwrap();
        assert_eq!(copied(&ram, &set(2), &encoder).twin, 1);
    }

    #[test]
    fn a_checkpoint_has_no_twins_and_ends_the_first_copy() {
        let ram = ram(4);
        (0..4).for_each(|index| ram.write_page(index, &[7; PAGE]).unwrap());
        let encoder = Encoder::new(&ram, true).unwrap();
        let mut staging = Staging::new(&ram, 1 << 20).unwrap();
        copied(&ram, &PageSet::all(1), &encoder);
        staging.gather(&PageSet::all(2)).unwrap();
        let mut tally = Tally::default();
        all(staging.source(1, Vec::new(), &encoder, Lz4::Never), &mut tally);
        assert_eq!((tally.equal, tally.raw, tally.twin), (1, 1, 0));
        assert_eq!(copied(&ram, &PageSet::all(4), &encoder).twin, 0);
    }

    #[test]
    fn device_state_that_changed_little_is_sent_as_what_changed() {
        let ram = ram(4);
        let encoder = Encoder::new(&ram, true).unwrap();
        let staging = Staging::new(&ram, 1 << 20).unwrap();
        let mut device = vec![7; 10 * PAGE + 100];
        let mut sizes = Vec::new();
        for number in 1..4 {
            device[5000] = number as u8;
            let mut tally = Tally::default();
            let sent = all(
                staging.source(number, device.clone(), &encoder, Lz4::Never),
                &mut tally,
            );
            assert_eq!(tally.device_bytes, device.len() as u64);
            assert_eq!(sent.last().unwrap().1.len(), 32);
            sizes.push(tally.sent_device_bytes);
        }
        assert!(sizes[0] > 30_000, "{sizes:?}");
        assert_eq!(sizes[1..], [18 + 11 + 10, 18 + 11 + 10]);
        let sent = all(
            staging.source(9, vec![7; 3], &encoder, Lz4::Never),
            &mut Tally::default(),
        );
        let Ok(Payload::Device {
            size: 3, mut pages, ..
        }) = Payload::parse(DEVICE, &sent[0].1)
        else {
            panic!("{sent:?}")
        };
        assert!(matches!(
            pages.next(),
            Some((0, Content::Delta(_) | Content::Raw(_)))
        ));
    }
}
