//! Where the link pulls its bulk messages from, one at a time and only when it has room for one.

use std::sync::Arc;
use std::time::Instant;

use crate::cursor::Cursor;
use crate::encoder::{Encoder, Sent, State};
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;
use crate::payload::{DEVICE, End, PAGES, PagesWriter, STATE_END, put_end};
use crate::squeeze::Lz4;
use crate::staging::Staged;
use crate::sum::Sum;
use crate::tally::Tally;
use crate::{PAGE, Page};

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
        let memory = self.ram.memory();
        let read = |index, _, page: &mut Page| memory.read_page(index, page);
        self.sender.next(out, tally, read, &mut Vec::new())
    }
}

/// A staged checkpoint: its pages, its device state, its end.
pub struct StagedState {
    staged: Arc<Staged>,
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
        let sender = Sender::new(checkpoint, staged.pages.clone(), encoder, lz4);
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
        let read = |_, nth, page: &mut Page| self.staged.data.read_page(nth, page);
        self.sender.next(out, tally, read, &mut self.device)
    }
}

/// What both have in common: pages, then device state, then the end.
struct Sender {
    checkpoint: u64,
    encoder: Encoder,
    lz4: Lz4,
    pages: Cursor,
    /// Pages looked at.
    read: u64,
    device: Option<Cursor>,
    sum: Sum,
    ended: bool,
}

impl Sender {
    fn new(checkpoint: u64, pages: PageSet, encoder: &Encoder, lz4: Lz4) -> Self {
        Self {
            checkpoint,
            encoder: encoder.clone(),
            lz4,
            pages: Cursor::new(pages),
            read: 0,
            device: None,
            sum: Sum::default(),
            ended: false,
        }
    }

    /// `read` gets a page's number and its place among those of this transfer. The device state is taken at the end.
    fn next(
        &mut self,
        out: &mut Vec<u8>,
        tally: &mut Tally,
        read: impl FnMut(u64, u64, &mut Page) -> crate::Result<()>,
        device: &mut Vec<u8>,
    ) -> Option<u8> {
        let (began, start) = (Instant::now(), out.len());
        let kind = self.message(out, tally, read, device)?;
        let bytes = (out.len() - start) as u64;
        tally.sent_bytes += bytes;
        if kind == DEVICE {
            tally.sent_device_bytes += bytes;
        }
        tally.encode_ns += u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Some(kind)
    }

    fn message(
        &mut self,
        out: &mut Vec<u8>,
        tally: &mut Tally,
        read: impl FnMut(u64, u64, &mut Page) -> crate::Result<()>,
        device: &mut Vec<u8>,
    ) -> Option<u8> {
        if self.ended {
            return None;
        }
        let encoder = self.encoder.clone();
        let mut state = encoder.lock();
        if !self.pages.is_done() {
            return self.pages(&mut state, out, tally, read);
        }
        let rest = self
            .device
            .get_or_insert_with(|| Cursor::new(PageSet::all(device.len().div_ceil(PAGE) as u64)));
        if !rest.is_done() {
            let mut writer = PagesWriter::new(out, self.checkpoint, Some(device.len() as u64));
            rest.fill(&mut writer, |out, index| {
                state.device_page(out, index, device, self.lz4, tally);
                Some(())
            })?;
            return Some(DEVICE);
        }
        self.end(&mut state, out, tally, std::mem::take(device))
    }

    fn pages(
        &mut self,
        state: &mut State,
        out: &mut Vec<u8>,
        tally: &mut Tally,
        mut read: impl FnMut(u64, u64, &mut Page) -> crate::Result<()>,
    ) -> Option<u8> {
        let mut writer = PagesWriter::new(out, self.checkpoint, None);
        self.pages.fill(&mut writer, |out, index| {
            let nth = self.read;
            self.read += 1;
            let sent = state.page(out, index, self.lz4, tally, |page| read(index, nth, page));
            if let Sent::Page(page) = sent.ok()? {
                self.sum.add(index, page);
            }
            Some(())
        })?;
        Some(PAGES)
    }

    fn end(
        &mut self,
        state: &mut State,
        out: &mut Vec<u8>,
        tally: &mut Tally,
        device: Vec<u8>,
    ) -> Option<u8> {
        self.ended = true;
        let end = End {
            pages: self.sum.pages,
            device: device.len() as u64,
            checksum: self.sum.digest(&device),
        };
        put_end(out, self.checkpoint, end);
        tally.device_bytes += end.device;
        if self.checkpoint > 0 {
            state.device_sent(device);
        }
        Some(STATE_END)
    }
}

impl Mapping {
    /// Copies a page out.
    pub(crate) fn read_page(&self, nth: u64, page: &mut Page) -> crate::Result<()> {
        self.read(page_offset(nth)?, page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::guest_ram::tests::ram;
    use crate::payload::Payload;
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
