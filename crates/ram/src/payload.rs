//! Payloads of the link's bulk messages (docs/architecture.md): writing them, and a total reader. Integers are
//! little-endian.

use crate::content::Content;

/// Link message type of PAGES.
pub const PAGES: u8 = 6;
/// Link message type of DEVICE.
pub const DEVICE: u8 = 7;
/// Link message type of STATE_END.
pub const STATE_END: u8 = 8;

/// What a bulk payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    Pages {
        checkpoint: u64,
        pages: Pages<'a>,
    },
    /// Device state, cut into pages of which the last is filled up with zeros. What is not sent is as it was.
    Device {
        checkpoint: u64,
        size: u64,
        pages: Pages<'a>,
    },
    End {
        checkpoint: u64,
        end: End,
    },
}

/// What a whole checkpoint, or a round of pre-copy, amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) pages: u64,
    pub(crate) device: u64,
    pub(crate) checksum: u64,
}

/// The pages of one payload, checked as a whole before the first is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pages<'a> {
    rest: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Reads a payload of the given link message type; the error says what is wrong with it.
    pub(crate) fn parse(kind: u8, payload: &'a [u8]) -> Result<Self, &'static str> {
        let (checkpoint, rest) = take_u64(payload).ok_or("no checkpoint number")?;
        match kind {
            PAGES => Ok(Self::Pages {
                checkpoint,
                pages: Pages::parse(rest)?,
            }),
            DEVICE => {
                let (size, rest) = take_u64(rest).ok_or("device state has no size")?;
                Ok(Self::Device {
                    checkpoint,
                    size,
                    pages: Pages::parse(rest)?,
                })
            }
            STATE_END => Ok(Self::End {
                checkpoint,
                end: End::parse(rest)?,
            }),
            _ => Err("not a bulk message"),
        }
    }

    /// The checkpoint that it belongs to; 0 is pre-copy.
    pub(crate) fn checkpoint(&self) -> u64 {
        match *self {
            Self::Pages { checkpoint, .. }
            | Self::Device { checkpoint, .. }
            | Self::End { checkpoint, .. } => checkpoint,
        }
    }
}

impl End {
    fn parse(rest: &[u8]) -> Result<Self, &'static str> {
        let read = || {
            let (pages, rest) = take_u64(rest)?;
            let (device, rest) = take_u64(rest)?;
            let (checksum, rest) = take_u64(rest)?;
            rest.is_empty().then_some(Self {
                pages,
                device,
                checksum,
            })
        };
        read().ok_or("end of state has a wrong length")
    }
}

impl<'a> Pages<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let (count, rest) = bytes.split_first_chunk::<2>().ok_or("pages have no count")?;
        let mut pages = Self { rest };
        for _ in 0..u16::from_le_bytes(*count) {
            pages.next().ok_or("a page is cut or of an unknown kind")?;
        }
        if pages.rest.is_empty() {
            Ok(Self { rest })
        } else {
            Err("bytes after the last page")
        }
    }
}

/// Page number and content.
impl<'a> Iterator for Pages<'a> {
    type Item = (u64, Content<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (index, rest) = take_u64(self.rest)?;
        let (content, rest) = Content::take(rest)?;
        self.rest = rest;
        Some((index, content))
    }
}

/// A payload of pages that is being written.
pub(crate) struct PagesWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count_at: usize,
    count: u16,
}

impl<'a> PagesWriter<'a> {
    /// Appends to `out` the head of a PAGES payload, or with a size that of a DEVICE payload.
    pub(crate) fn new(out: &'a mut Vec<u8>, checkpoint: u64, device_size: Option<u64>) -> Self {
        let start = out.len();
        out.extend_from_slice(&checkpoint.to_le_bytes());
        out.extend(device_size.into_iter().flat_map(u64::to_le_bytes));
        let count_at = out.len();
        out.extend_from_slice(&[0, 0]);
        Self {
            out,
            start,
            count_at,
            count: 0,
        }
    }

    /// Appends a page; false when the payload is full and there was no room.
    pub(crate) fn put(&mut self, index: u64, content: &Content<'_>) -> bool {
        let Some(count) = self.count.checked_add(1) else {
            return false;
        };
        self.count = count;
        if let Some(place) = self.out.get_mut(self.count_at..self.count_at + 2) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        self.out.extend_from_slice(&index.to_le_bytes());
        content.put(self.out);
        true
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len() - self.start
    }
}

/// Appends a STATE_END payload.
pub(crate) fn put_end(out: &mut Vec<u8>, checkpoint: u64, end: End) {
    for value in [checkpoint, end.pages, end.device, end.checksum] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (value, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PAGE;
    use proptest::prelude::*;

    fn content(kind: u8, bytes: &[u8]) -> Content<'_> {
        match kind {
            0 => Content::Zero,
            1 => Content::Raw(&[7; PAGE]),
            2 => Content::Delta(bytes),
            4 => Content::Zeros(1 + bytes.len() as u32),
            5 => Content::Twin(bytes.len() as u64),
            _ => Content::Lz4(bytes),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(kind in 0..12u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Payload::parse(kind, &bytes);
        }

        #[test]
        fn pages_come_back(
            checkpoint: u64,
            device in prop::option::of(any::<u64>()),
            pages in prop::collection::vec((any::<u64>(), 0..6u8, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        ) {
            let mut out = Vec::new();
            let mut writer = PagesWriter::new(&mut out, checkpoint, device);
            let sent: Vec<_> = pages.iter().map(|(index, kind, bytes)| (*index, content(*kind, bytes))).collect();
            sent.iter().for_each(|(index, content)| assert!(writer.put(*index, content)));
            prop_assert_eq!(writer.len(), out.len());
            let kind = if device.is_some() { DEVICE } else { PAGES };
            let parsed = Payload::parse(kind, &out).map_err(TestCaseError::fail)?;
            prop_assert_eq!(parsed.checkpoint(), checkpoint);
            let (Payload::Pages { pages: found, .. } | Payload::Device { pages: found, .. }) = parsed else {
                return Err(TestCaseError::fail("not read as pages"));
            };
            if let Payload::Device { size, .. } = parsed {
                prop_assert_eq!(Some(size), device);
            }
            prop_assert_eq!(found.collect::<Vec<_>>(), sent);
            for cut in [out.len() - 1, out.len() / 2, 9, 3] {
                prop_assert!(Payload::parse(kind, &out[..cut]).is_err());
            }
            out.push(0);
            prop_assert!(Payload::parse(kind, &out).is_err());
        }

        #[test]
        fn an_end_comes_back(checkpoint: u64, pages: u64, device: u64, checksum: u64) {
            let mut out = Vec::new();
            let end = End { pages, device, checksum };
            put_end(&mut out, checkpoint, end);
            prop_assert_eq!(Payload::parse(STATE_END, &out), Ok(Payload::End { checkpoint, end }));
            out.pop();
            prop_assert!(Payload::parse(STATE_END, &out).is_err());
        }
    }

    #[test]
    fn a_payload_takes_as_many_pages_as_it_can_count() {
        let mut out = Vec::new();
        let mut writer = PagesWriter::new(&mut out, 1, None);
        let taken = (0..70_000)
            .filter(|index| writer.put(*index, &Content::Zero))
            .count();
        assert_eq!(taken, usize::from(u16::MAX));
        assert!(Payload::parse(PAGES, &out).is_ok());
    }
}
