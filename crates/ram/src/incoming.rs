//! One checkpoint on its way in.

use xxhash_rust::xxh3::Xxh3;

use crate::damaged::Why;
use crate::payload::{End, PAGES, Pages, Payload};

/// Counted for each message on top of its payload, so that many small ones are bounded as well.
const MESSAGE_OVERHEAD: usize = 64;

/// A checkpoint as it came over the link: its payloads of pages, which were checked on arrival, and its device state.
#[derive(Default)]
pub(crate) struct Incoming {
    payloads: Vec<Vec<u8>>,
    device: Vec<u8>,
    checksum: Xxh3,
    pages: u64,
    bytes: usize,
}

impl Incoming {
    /// Counts a message in that is about to be kept.
    pub(crate) fn count(&mut self, payload: &[u8]) {
        self.bytes += payload.len() + MESSAGE_OVERHEAD;
        self.checksum.update(payload);
    }

    /// Keeps a payload of pages, in this buffer.
    pub(crate) fn keep_pages(&mut self, pages: Pages<'_>, payload: &[u8], mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(payload);
        self.pages += pages.count() as u64;
        self.payloads.push(buffer);
    }

    /// Keeps the next piece of device state.
    pub(crate) fn keep_device(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Why> {
        let have = self.device.len() as u64;
        if offset != have {
            return Err(Why::DeviceOffset { offset, have });
        }
        self.device.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether it is what the sender says it sent.
    pub(crate) fn check(&self, announced: End) -> Result<(), Why> {
        let (pages, device) = (self.pages, self.device.len() as u64);
        let found = End {
            pages,
            device,
            checksum: self.checksum.digest(),
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

    /// Its pages, in the order of arrival: a later copy of a page replaces an earlier one.
    pub(crate) fn pages(&self) -> impl Iterator<Item = <Pages<'_> as Iterator>::Item> {
        let views = self
            .payloads
            .iter()
            .filter_map(|payload| match Payload::parse(PAGES, payload) {
                Ok(Payload::Pages { pages, .. }) => Some(pages),
                _ => None,
            });
        views.flatten()
    }

    /// Its device state.
    pub(crate) fn device(&self) -> &[u8] {
        &self.device
    }

    /// Its device state, of which none is left.
    pub(crate) fn take_device(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.device)
    }

    /// The memory of its pages, to be used again.
    pub(crate) fn into_buffers(self) -> impl Iterator<Item = Vec<u8>> {
        self.payloads.into_iter()
    }
}
