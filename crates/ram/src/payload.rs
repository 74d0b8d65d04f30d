//! Payloads of the link's bulk messages (docs/architecture.md): writing them, and a total reader. Integers are
//! little-endian.

use crate::PAGE;

/// Link message type of PAGES.
pub const PAGES: u8 = 6;
/// Link message type of DEVICE.
pub const DEVICE: u8 = 7;
/// Link message type of STATE_END.
pub const STATE_END: u8 = 8;
/// Pages in one message: about 64 KiB, so that an urgent message never waits for long.
pub const PAGES_PER_MESSAGE: usize = 16;
/// Bytes of device state in one message.
pub const DEVICE_PER_MESSAGE: usize = 64 * 1024;

pub(crate) const ZERO_PAGE: [u8; PAGE] = [0; PAGE];
const ZERO: u8 = 0;
const RAW: u8 = 1;

/// What a bulk payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    Pages {
        checkpoint: u64,
        pages: Pages<'a>,
    },
    Device {
        checkpoint: u64,
        offset: u64,
        bytes: &'a [u8],
    },
    End {
        checkpoint: u64,
        end: End,
    },
}

/// What a whole checkpoint amounts to.
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
                let (offset, bytes) = take_u64(rest).ok_or("device state has no offset")?;
                if bytes.is_empty() {
                    return Err("empty piece of device state");
                }
                Ok(Self::Device {
                    checkpoint,
                    offset,
                    bytes,
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
        let count = usize::from(u16::from_le_bytes(*count));
        let mut pages = Self { rest };
        if count == 0 {
            return Err("no page in a message of pages");
        }
        for _ in 0..count {
            pages.next().ok_or("a page is cut or has an unknown flag")?;
        }
        if pages.rest.is_empty() {
            Ok(Self { rest })
        } else {
            Err("bytes after the last page")
        }
    }
}

/// Page number and content; `None` is a page of zeros.
impl<'a> Iterator for Pages<'a> {
    type Item = (u64, Option<&'a [u8; PAGE]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (index, rest) = take_u64(self.rest)?;
        let (flag, rest) = rest.split_first()?;
        let (content, rest) = match *flag {
            ZERO => (None, rest),
            RAW => rest
                .split_first_chunk::<PAGE>()
                .map(|(page, rest)| (Some(page), rest))?,
            _ => return None,
        };
        self.rest = rest;
        Some((index, content))
    }
}

/// Appends the head of a PAGES payload, to be followed by `count` pages.
pub(crate) fn put_pages(out: &mut Vec<u8>, checkpoint: u64, count: u16) {
    out.extend_from_slice(&checkpoint.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
}

/// Appends one page, as a mark if it holds only zeros.
pub(crate) fn put_page(out: &mut Vec<u8>, index: u64, page: &[u8; PAGE]) {
    out.extend_from_slice(&index.to_le_bytes());
    if *page == ZERO_PAGE {
        out.push(ZERO);
    } else {
        out.push(RAW);
        out.extend_from_slice(page);
    }
}

/// Appends a DEVICE payload.
pub(crate) fn put_device(out: &mut Vec<u8>, checkpoint: u64, offset: u64, bytes: &[u8]) {
    out.extend_from_slice(&checkpoint.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(bytes);
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(kind in 0..12u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Payload::parse(kind, &bytes);
        }

        #[test]
        fn pages_come_back(checkpoint: u64, pages in prop::collection::vec((any::<u64>(), 0..3u8), 1..20)) {
            let mut out = Vec::new();
            put_pages(&mut out, checkpoint, pages.len() as u16);
            pages.iter().for_each(|(index, fill)| put_page(&mut out, *index, &[*fill; PAGE]));
            let Ok(Payload::Pages { checkpoint: read, pages: found }) = Payload::parse(PAGES, &out) else {
                return Err(TestCaseError::fail("not read as pages"));
            };
            prop_assert_eq!(read, checkpoint);
            let found: Vec<_> = found.map(|(index, page)| (index, page.map_or(0, |page| page[PAGE - 1]))).collect();
            prop_assert_eq!(found, pages);
            for cut in [out.len() - 1, out.len() / 2, 9, 3] {
                prop_assert!(Payload::parse(PAGES, &out[..cut]).is_err());
            }
            out.push(0);
            prop_assert!(Payload::parse(PAGES, &out).is_err());
        }

        #[test]
        fn device_and_end_come_back(checkpoint: u64, offset: u64, bytes in prop::collection::vec(any::<u8>(), 1..99)) {
            let mut out = Vec::new();
            put_device(&mut out, checkpoint, offset, &bytes);
            prop_assert_eq!(Payload::parse(DEVICE, &out), Ok(Payload::Device { checkpoint, offset, bytes: &bytes }));
            let end = End { pages: offset, device: 7, checksum: checkpoint ^ 3 };
            out.clear();
            put_end(&mut out, checkpoint, end);
            prop_assert_eq!(Payload::parse(STATE_END, &out), Ok(Payload::End { checkpoint, end }));
            out.pop();
            prop_assert!(Payload::parse(STATE_END, &out).is_err());
        }
    }
}
