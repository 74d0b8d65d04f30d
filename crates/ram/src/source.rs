//! Where the link pulls its bulk messages from, one at a time and only when it has room for one.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::PAGE;
use crate::guest_ram::{GuestRam, page_offset};
use crate::mapping::Mapping;
use crate::page_set::PageSet;
use crate::payload::{
    DEVICE, DEVICE_PER_MESSAGE, End, PAGES, PAGES_PER_MESSAGE, STATE_END, put_device, put_end, put_page,
    put_pages,
};
use crate::staging::Staged;

/// A finite series of bulk messages.
pub trait BulkSource: Send {
    /// Appends the next payload to `out` and returns its link message type; `None` at the end, for ever.
    fn next(&mut self, out: &mut Vec<u8>) -> Option<u8>;
}

/// Pre-copy: pages of a running VM, as they are at the moment they are pulled, labelled checkpoint 0.
pub struct LivePages {
    ram: GuestRam,
    cursor: Cursor,
}

impl LivePages {
    /// These pages of this RAM; pages that the RAM does not have are left out.
    #[must_use]
    pub fn new(ram: GuestRam, pages: PageSet) -> Self {
        Self {
            ram,
            cursor: Cursor { pages, next: 0 },
        }
    }
}

impl BulkSource for LivePages {
    fn next(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        let batch = self.cursor.batch(self.ram.pages());
        put_batch(out, 0, &batch, |index, _| self.ram.memory().page(index))
    }
}

/// A staged checkpoint: its pages, its device state, its end.
pub struct StagedState {
    checkpoint: u64,
    staged: Arc<Staged>,
    cursor: Cursor,
    sent_pages: u64,
    device: Vec<u8>,
    sent_device: usize,
    checksum: Xxh3,
    ended: bool,
}

impl StagedState {
    pub(crate) fn new(checkpoint: u64, staged: Arc<Staged>, device: Vec<u8>) -> Self {
        let cursor = Cursor {
            pages: staged.pages.clone(),
            next: 0,
        };
        Self {
            checkpoint,
            staged,
            cursor,
            sent_pages: 0,
            device,
            sent_device: 0,
            checksum: Xxh3::new(),
            ended: false,
        }
    }

    fn pages(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        let batch = self.cursor.batch(self.staged.pages.pages());
        let first = self.sent_pages;
        self.sent_pages += batch.len() as u64;
        put_batch(out, self.checkpoint, &batch, |_, nth| {
            self.staged.data.page(first + nth)
        })
    }

    fn device(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        let rest = self.device.get(self.sent_device..)?;
        let piece = rest.get(..DEVICE_PER_MESSAGE).unwrap_or(rest);
        if piece.is_empty() {
            return None;
        }
        put_device(out, self.checkpoint, self.sent_device as u64, piece);
        self.sent_device += piece.len();
        Some(DEVICE)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        if self.ended {
            return None;
        }
        self.ended = true;
        let (pages, device) = (self.sent_pages, self.device.len() as u64);
        put_end(
            out,
            self.checkpoint,
            End {
                pages,
                device,
                checksum: self.checksum.digest(),
            },
        );
        Some(STATE_END)
    }
}

impl BulkSource for StagedState {
    fn next(&mut self, out: &mut Vec<u8>) -> Option<u8> {
        let start = out.len();
        let kind = self
            .pages(out)
            .or_else(|| self.device(out))
            .or_else(|| self.end(out))?;
        self.checksum.update(out.get(start..)?);
        Some(kind)
    }
}

/// Goes through a set of pages in steps.
struct Cursor {
    pages: PageSet,
    next: u64,
}

impl Cursor {
    /// The next pages below `limit`, as many as one message takes.
    fn batch(&mut self, limit: u64) -> Vec<u64> {
        let mut batch = Vec::with_capacity(PAGES_PER_MESSAGE);
        while batch.len() < PAGES_PER_MESSAGE {
            match self.pages.first_from(self.next).filter(|page| *page < limit) {
                Some(page) => batch.push(page),
                None => break,
            }
            self.next = batch.last().map_or(self.next, |page| page + 1);
        }
        batch
    }
}

/// Appends one PAGES payload; `read` gets a page's number and its place in the batch.
fn put_batch(
    out: &mut Vec<u8>,
    checkpoint: u64,
    batch: &[u64],
    read: impl Fn(u64, u64) -> Option<[u8; PAGE]>,
) -> Option<u8> {
    let count = u16::try_from(batch.len()).ok().filter(|count| *count > 0)?;
    put_pages(out, checkpoint, count);
    for (nth, index) in (0..).zip(batch) {
        put_page(out, *index, &read(*index, nth)?);
    }
    Some(PAGES)
}

impl Mapping {
    /// A copy of the page at this place, `None` beyond the end.
    fn page(&self, nth: u64) -> Option<[u8; PAGE]> {
        let mut page = [0; PAGE];
        self.read(page_offset(nth).ok()?, &mut page).ok()?;
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_ram::tests::ram;
    use crate::payload::Payload;

    #[test]
    fn live_pages_are_pulled_in_messages_of_sixteen_and_zero_pages_are_marks() {
        let ram = ram(40);
        ram.write_page(17, &[9; PAGE]).unwrap();
        let mut source = LivePages::new(ram, PageSet::all(40));
        let (mut sizes, mut out, mut indexes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(kind) = source.next(&mut out) {
            sizes.push(out.len());
            let Ok(Payload::Pages { checkpoint: 0, pages }) = Payload::parse(kind, &out) else {
                panic!()
            };
            indexes.extend(pages.map(|(index, page)| (index, page.is_some())));
            out.clear();
        }
        assert_eq!(sizes, [10 + 16 * 9, 10 + 16 * 9 + PAGE, 10 + 8 * 9]);
        assert_eq!(
            indexes,
            (0..40).map(|index| (index, index == 17)).collect::<Vec<_>>()
        );
        assert_eq!(source.next(&mut out), None);
    }

    #[test]
    fn a_payload_is_appended_behind_what_is_there() {
        let mut out = b"head".to_vec();
        LivePages::new(ram(1), PageSet::all(1)).next(&mut out).unwrap();
        assert_eq!(&out[..4], b"head");
        assert!(Payload::parse(PAGES, &out[4..]).is_ok());
    }
}
