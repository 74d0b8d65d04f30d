//! One checkpoint on its way in.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::damaged::Why;
use crate::encoder::take_page;
use crate::payload::{End, Pages};
use crate::sum::Sum;
use crate::{PAGE, Page};

/// Counted for each message and for each page on top of what it holds, so that many small ones are bounded as well.
const OVERHEAD: usize = 64;
/// Pages whose memory is had and given back together.
const BATCH: usize = 16;
/// A buffer of pages.
pub(crate) const BATCH_SIZE: usize = BATCH * PAGE;

/// What a delta refers to: the last whole checkpoint, or pre-copy before the first.
pub(crate) trait Base {
    /// Fills in a page of guest RAM.
    fn page(&self, index: u64, page: &mut Page);
    /// Its device state.
    fn device(&self) -> &[u8];
}

/// A checkpoint as it came over the link, decoded.
#[derive(Default)]
pub(crate) struct Incoming {
    /// In the order of arrival; `None` is a page of zeros, otherwise its place in `buffers`.
    pages: Vec<(u64, Option<usize>)>,
    buffers: Vec<Vec<u8>>,
    filled: usize,
    /// Where the last copy of each page is, once somebody asks.
    places: OnceCell<HashMap<u64, Option<usize>>>,
    device: Option<Vec<u8>>,
    sum: Sum,
    bytes: usize,
}

impl Incoming {
    /// Counts in a message that is about to be kept, before anything is made of it.
    pub(crate) fn count(&mut self, pages: Pages<'_>) {
        let held: usize = pages.map(|(_, content)| content.len() + OVERHEAD).sum();
        self.bytes += held + OVERHEAD;
    }

    /// Counts in the size of the device state, which the first message with any of it tells.
    pub(crate) fn count_device(&mut self, size: u64) {
        if self.device.is_none() {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            self.bytes = self.bytes.saturating_add(size);
        }
    }

    /// Keeps a page, in memory that `buffer` gives.
    pub(crate) fn keep(&mut self, index: u64, page: Option<&Page>, buffer: impl FnOnce() -> Vec<u8>) {
        self.sum.add(index, page);
        let place = page.map(|page| self.fill(page, buffer));
        self.pages.push((index, place));
    }

    fn fill(&mut self, page: &Page, buffer: impl FnOnce() -> Vec<u8>) -> usize {
        if self.filled.is_multiple_of(BATCH) {
            let mut buffer = buffer();
            buffer.clear();
            buffer.reserve_exact(BATCH_SIZE);
            self.buffers.push(buffer);
        }
        if let Some(last) = self.buffers.last_mut() {
            last.extend_from_slice(page);
        }
        self.filled += 1;
        self.filled - 1
    }

    /// Keeps pages of the device state; what none of them brings is as it was in `base`.
    pub(crate) fn keep_device(&mut self, size: u64, pages: Pages<'_>, base: &[u8]) -> Result<(), Why> {
        let size = usize::try_from(size).map_err(|_| Why::DeviceSize {
            found: 0,
            announced: size,
        })?;
        let device = self.device.get_or_insert_with(|| {
            let mut device = base.to_vec();
            device.resize(size, 0);
            device
        });
        if device.len() != size {
            let (found, announced) = (device.len() as u64, size as u64);
            return Err(Why::DeviceSize { found, announced });
        }
        let mut page = [0; PAGE];
        for (index, content) in pages {
            let start = usize::try_from(index)
                .ok()
                .and_then(|index| index.checked_mul(PAGE));
            let place = start
                .filter(|start| *start < size)
                .and_then(|start| device.get_mut(start..));
            let place = place.ok_or(Why::NoSuchPage(index))?;
            let decoded = content.decode(&mut page, |page| take_page(base, index, page));
            let decoded = decoded.map_err(Why::Malformed)?.unwrap_or(&crate::ZERO_PAGE);
            place.iter_mut().zip(decoded).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    /// Whether it is what the sender says it sent.
    pub(crate) fn check(&self, announced: End) -> Result<(), Why> {
        let device = self.device();
        let found = End {
            pages: self.sum.pages,
            device: device.len() as u64,
            checksum: self.sum.digest(device),
        };
        if found == announced {
            Ok(())
        } else {
            Err(Why::differing(found, announced))
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its pages, in the order of arrival: a later copy of a page replaces an earlier one. `None` is one of zeros.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u64, Option<&Page>)> {
        self.pages
            .iter()
            .map(|(index, place)| (*index, place.and_then(|place| self.at(place))))
    }

    /// The last copy of this page, if it brings one.
    pub(crate) fn page(&self, index: u64) -> Option<Option<&Page>> {
        let places = self.places.get_or_init(|| self.pages.iter().copied().collect());
        places
            .get(&index)
            .map(|place| place.and_then(|place| self.at(place)))
    }

    fn at(&self, place: usize) -> Option<&Page> {
        let (pages, _) = self.buffers.get(place / BATCH)?.as_chunks();
        pages.get(place % BATCH)
    }

    /// Its device state.
    pub(crate) fn device(&self) -> &[u8] {
        self.device.as_deref().unwrap_or_default()
    }

    /// Its device state, of which none is left.
    pub(crate) fn take_device(&mut self) -> Vec<u8> {
        self.device.take().unwrap_or_default()
    }

    /// The memory of its pages, to be used again.
    pub(crate) fn into_buffers(self) -> Vec<Vec<u8>> {
        self.buffers
    }
}
