//! How a page is sent in few bytes.

use std::time::Instant;

use crate::content::Content;
use crate::payload::PagesWriter;
use crate::tally::Tally;
use crate::{PAGE, Page, ZERO_PAGE, delta};

/// A delta of at most this is sent without a look at LZ4, which costs ten times as much to find out that it is longer
/// (docs/decisions/0016).
const SHORT_DELTA: usize = 1024;
/// Beyond, a page is sent as it is: what is saved is not worth the work on the other side.
const WORTHWHILE: usize = PAGE - PAGE / 8;
/// Pages of which one is compressed to see what it would save.
const SAMPLE: u32 = 16;

/// Whether pages are compressed whose delta is not short. Who asks decides by what the link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lz4 {
    /// None.
    #[default]
    Never,
    /// Some, to know what it costs and saves.
    Sample,
    /// All.
    Always,
}

/// How a page went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Zero,
    Equal,
    Delta,
    Lz4,
    Raw,
}

/// Buffers, and what compression came to.
pub(crate) struct Squeezer {
    runs: Vec<u8>,
    block: Vec<u8>,
    seen: u32,
    lz4_ns: u64,
    lz4_saved: u64,
}

impl Squeezer {
    pub(crate) fn new() -> Self {
        Self {
            runs: Vec::with_capacity(2 * PAGE),
            block: vec![0; lz4_flex::block::get_maximum_output_size(PAGE)],
            seen: 0,
            lz4_ns: 0,
            lz4_saved: 0,
        }
    }

    /// Appends a page, unless it is the same as `base`, what the receiver has of it. `out` must have room.
    pub(crate) fn put(
        &mut self,
        out: &mut PagesWriter<'_>,
        index: u64,
        page: &Page,
        base: Option<&Page>,
        lz4: Lz4,
    ) -> Kind {
        if base == Some(page) {
            return Kind::Equal;
        }
        let (kind, content) = self.encode(page, base, lz4);
        out.put(index, &content);
        kind
    }

    /// Tells what compression came to since the last call.
    pub(crate) fn settle(&mut self, tally: &mut Tally) {
        tally.lz4_ns += std::mem::take(&mut self.lz4_ns);
        tally.lz4_saved += std::mem::take(&mut self.lz4_saved);
    }

    fn encode<'a>(&'a mut self, page: &'a Page, base: Option<&Page>, lz4: Lz4) -> (Kind, Content<'a>) {
        if *page == ZERO_PAGE {
            return (Kind::Zero, Content::Zero);
        }
        self.runs.clear();
        let has_delta = base.is_some_and(|base| delta::put(&mut self.runs, base, page, WORTHWHILE));
        let shortest = if has_delta { self.runs.len() } else { WORTHWHILE };
        if shortest > SHORT_DELTA && self.is_due(lz4) {
            let length = self.compress(page);
            if length < shortest {
                self.lz4_saved += (shortest - length) as u64;
                return (
                    Kind::Lz4,
                    Content::Lz4(self.block.get(..length).unwrap_or_default()),
                );
            }
        }
        if has_delta {
            (Kind::Delta, Content::Delta(&self.runs))
        } else {
            (Kind::Raw, Content::Raw(page))
        }
    }

    fn is_due(&mut self, lz4: Lz4) -> bool {
        self.seen = self.seen.wrapping_add(1);
        match lz4 {
            Lz4::Never => false,
            Lz4::Sample => self.seen.is_multiple_of(SAMPLE),
            Lz4::Always => true,
        }
    }

    /// The length of the block; that of a page if it cannot be compressed.
    fn compress(&mut self, page: &Page) -> usize {
        let began = Instant::now();
        let length = lz4_flex::block::compress_into(page, &mut self.block).unwrap_or(PAGE);
        self.lz4_ns += u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{PAGES, Payload};
    use proptest::prelude::*;

    /// How it was sent, in how many bytes, and what the receiver made of it.
    fn sent(page: &Page, base: Option<&Page>, lz4: Lz4) -> (Kind, usize, Option<Page>) {
        let mut out = Vec::new();
        let mut writer = PagesWriter::new(&mut out, 1, None);
        let head = writer.len();
        let kind = Squeezer::new().put(&mut writer, 3, page, base, lz4);
        let length = writer.len() - head;
        let Ok(Payload::Pages { mut pages, .. }) = Payload::parse(PAGES, &out) else {
            panic!("not read as pages")
        };
        let mut made = [0xEE; PAGE];
        let page = pages.next().map(|(index, content)| {
            assert_eq!(index, 3);
            let decoded = content.decode(&mut made, |old| *old = *base.unwrap()).unwrap();
            decoded.copied().unwrap_or(ZERO_PAGE)
        });
        (kind, length, page)
    }

    fn noise(seed: u64) -> Page {
        let mut page = [0; PAGE];
        for (at, place) in page.chunks_mut(8).enumerate() {
            let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&at.to_le_bytes(), seed);
            place.copy_from_slice(&hash.to_le_bytes());
        }
        page
    }

    fn text() -> Page {
        let mut page = [0; PAGE];
        page.iter_mut()
            .zip(0_u32..)
            .for_each(|(byte, at)| *byte = (at / 40 % 7) as u8 + 1);
        page
    }

    #[test]
    fn each_page_goes_the_shortest_way_that_is_allowed() {
        let (noise, text) = (noise(1), text());
        let mut touched = noise;
        touched[100] ^= 1;
        let cases: [(&Page, Option<&Page>, Lz4, Kind, usize); 9] = [
            (&ZERO_PAGE, None, Lz4::Always, Kind::Zero, 9),
            (&ZERO_PAGE, Some(&noise), Lz4::Always, Kind::Zero, 9),
            (&ZERO_PAGE, Some(&ZERO_PAGE), Lz4::Always, Kind::Equal, 0),
            (&noise, Some(&noise), Lz4::Always, Kind::Equal, 0),
            (&touched, Some(&noise), Lz4::Always, Kind::Delta, 8 + 1 + 2 + 10),
            (&touched, None, Lz4::Always, Kind::Raw, 9 + PAGE),
            (&noise, Some(&text), Lz4::Always, Kind::Raw, 9 + PAGE),
            (&text, None, Lz4::Never, Kind::Raw, 9 + PAGE),
            (&text, Some(&noise), Lz4::Never, Kind::Raw, 9 + PAGE),
        ];
        for (page, base, lz4, kind, length) in cases {
            let (found, bytes, made) = sent(page, base, lz4);
            assert_eq!((found, bytes), (kind, length));
            assert_eq!(made, (kind != Kind::Equal).then_some(*page));
        }
        let (kind, length, made) = sent(&text, Some(&noise), Lz4::Always);
        assert_eq!((kind, made), (Kind::Lz4, Some(text)));
        assert!(length < 1500, "{length}");
    }

    #[test]
    fn sampling_compresses_one_page_of_sixteen() {
        let (text, mut squeezer) = (text(), Squeezer::new());
        let mut out = Vec::new();
        let mut writer = PagesWriter::new(&mut out, 1, None);
        let kinds: Vec<_> = (0..160)
            .map(|index| squeezer.put(&mut writer, index, &text, None, Lz4::Sample))
            .collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Lz4).count(), 10);
        assert!(squeezer.lz4_saved > 20_000 && squeezer.lz4_ns > 0);
    }

    proptest! {
        #[test]
        fn the_receiver_makes_the_same_page(
            kinds in prop::collection::vec((0..3u8, 0..PAGE, any::<u8>()), 0..600),
            with_base: bool,
            always: bool,
        ) {
            let base = noise(7);
            let mut page = if with_base { base } else { ZERO_PAGE };
            for (kind, at, value) in kinds {
                let end = PAGE.min(at + [1, 8, 60][usize::from(kind)]);
                page[at..end].fill(value);
            }
            let lz4 = if always { Lz4::Always } else { Lz4::Never };
            let (kind, length, made) = sent(&page, with_base.then_some(&base), lz4);
            prop_assert!(made.unwrap_or(base) == page, "{kind:?}");
            prop_assert!(length <= 9 + PAGE);
        }
    }
}
