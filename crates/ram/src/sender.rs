//! What all bulk sources have in common.

use std::time::Instant;

use crate::cursor::Cursor;
use crate::encoder::{Encoder, Sent, State};
use crate::page_set::PageSet;
use crate::payload::{DEVICE, End, PAGES, PagesWriter, STATE_END, put_end};
use crate::squeeze::Lz4;
use crate::sum::Sum;
use crate::tally::Tally;
use crate::{PAGE, Page};

/// Pages, then device state, then the end.
pub(crate) struct Sender {
    pub(crate) checkpoint: u64,
    encoder: Encoder,
    lz4: Lz4,
    pages: Cursor,
    device: Option<Cursor>,
    sum: Sum,
    ended: bool,
}

impl Sender {
    pub(crate) fn new(checkpoint: u64, pages: PageSet, encoder: &Encoder, lz4: Lz4) -> Self {
        Self {
            checkpoint,
            encoder: encoder.clone(),
            lz4,
            pages: Cursor::new(pages),
            device: None,
            sum: Sum::default(),
            ended: false,
        }
    }

    /// `read` gets a page's number, in ascending order. The device state is taken at the end.
    pub(crate) fn next(
        &mut self,
        out: &mut Vec<u8>,
        tally: &mut Tally,
        read: impl FnMut(u64, &mut Page) -> crate::Result<()>,
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
        read: impl FnMut(u64, &mut Page) -> crate::Result<()>,
        device: &mut Vec<u8>,
    ) -> Option<u8> {
        if self.ended {
            return None;
        }
        let encoder = self.encoder.clone();
        let mut state = encoder.lock();
        if self.checkpoint > 0 {
            state.end_first_copy();
        }
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
        mut read: impl FnMut(u64, &mut Page) -> crate::Result<()>,
    ) -> Option<u8> {
        let mut writer = PagesWriter::new(out, self.checkpoint, None);
        self.pages.fill(&mut writer, |out, index| {
            let sent = state.page(out, index, self.lz4, tally, |page| read(index, page));
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
