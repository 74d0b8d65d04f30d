//! Pages that nobody has touched: sent as runs, without a look at them.

use std::ops::Range;
use std::time::Instant;

use crate::content::Content;
use crate::encoder::Encoder;
use crate::page_set::PageSet;
use crate::payload::{End, PAGES, PagesWriter, STATE_END, put_end};
use crate::source::BulkSource;
use crate::sum::Sum;
use crate::tally::Tally;

/// Runs in one message: 3 KiB of it.
const RUNS_PER_MESSAGE: usize = 256;

/// Pre-copy of pages that were zeros when tracking had begun: whatever is written later, the tracker reports.
pub struct BlankPages {
    pages: PageSet,
    next: u64,
    encoder: Encoder,
    sum: Sum,
    ended: bool,
}

impl BlankPages {
    /// These pages; the RAM is not looked at.
    #[must_use]
    pub fn new(pages: &PageSet, encoder: &Encoder) -> Self {
        Self {
            pages: pages.clone(),
            next: 0,
            encoder: encoder.clone(),
            sum: Sum::default(),
            ended: false,
        }
    }

    fn message(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> Option<u8> {
        if self.ended {
            return None;
        }
        if self.pages.run_from(self.next).is_none() {
            return Some(self.end(out));
        }
        let mut writer = PagesWriter::new(out, 0, None);
        let encoder = self.encoder.clone();
        let mut state = encoder.lock();
        for _ in 0..RUNS_PER_MESSAGE {
            let Some(Range { start, end }) = self.take_run() else {
                break;
            };
            let count = u32::try_from(end - start).ok()?;
            writer.put(start, &Content::Zeros(count));
            state.zeros_sent(start..end).ok()?;
            self.sum.add_zeros(start, count);
            tally.zero += end - start;
        }
        Some(PAGES)
    }

    /// The next run, of as many pages as a message can tell.
    fn take_run(&mut self) -> Option<Range<u64>> {
        let run = self.pages.run_from(self.next)?;
        self.next = run.end.min(run.start.saturating_add(u64::from(u32::MAX)));
        Some(run.start..self.next)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> u8 {
        self.ended = true;
        let end = End {
            pages: self.sum.pages,
            device: 0,
            checksum: self.sum.digest(&[]),
        };
        put_end(out, 0, end);
        STATE_END
    }
}

impl BulkSource for BlankPages {
    fn checkpoint(&self) -> u64 {
        0
    }

    fn next(&mut self, out: &mut Vec<u8>, tally: &mut Tally) -> Option<u8> {
        let (began, start) = (Instant::now(), out.len());
        let kind = self.message(out, tally)?;
        tally.sent_bytes += (out.len() - start) as u64;
        tally.encode_ns += u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Some(kind)
    }
}
