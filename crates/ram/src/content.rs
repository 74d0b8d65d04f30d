//! How a page stands in a message: `u8 kind`, then for a raw page its 4096 bytes, for the shorter ones
//! `u16 length, bytes`, for a run of pages of zeros the `u32` number of them, for a twin the `u64` number of the other page.

use crate::{PAGE, Page, delta};

const ZERO: u8 = 0;
const RAW: u8 = 1;
const DELTA: u8 = 2;
const LZ4: u8 = 3;
const ZEROS: u8 = 4;
const TWIN: u8 = 5;

/// A page as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// Only zeros.
    Zero,
    Raw(&'a Page),
    /// What differs from the page as the receiver has it (see [`delta`]).
    Delta(&'a [u8]),
    /// A block of LZ4 (the format's description is lz4_Block_format.md of its authors).
    Lz4(&'a [u8]),
    /// So many pages of zeros, this one the first; at least one. In pre-copy only.
    Zeros(u32),
    /// What the receiver has as this page, which came before. In pre-copy only.
    Twin(u64),
}

impl<'a> Content<'a> {
    /// Takes one off the front; `None` when it is cut or of an unknown kind.
    pub(crate) fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            ZERO => Some((Self::Zero, rest)),
            RAW => rest
                .split_first_chunk()
                .map(|(page, rest)| (Self::Raw(page), rest)),
            DELTA => take_short(rest).map(|(runs, rest)| (Self::Delta(runs), rest)),
            LZ4 => take_short(rest).map(|(block, rest)| (Self::Lz4(block), rest)),
            ZEROS => {
                let (count, rest) = rest.split_first_chunk()?;
                let count = u32::from_le_bytes(*count);
                (count > 0).then_some((Self::Zeros(count), rest))
            }
            TWIN => {
                let (other, rest) = rest.split_first_chunk()?;
                Some((Self::Twin(u64::from_le_bytes(*other)), rest))
            }
            _ => None,
        }
    }

    /// Appends it. Deltas and blocks are shorter than a page.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Zero => out.push(ZERO),
            Self::Raw(page) => {
                out.push(RAW);
                out.extend_from_slice(*page);
            }
            Self::Delta(runs) => put_short(out, DELTA, runs),
            Self::Lz4(block) => put_short(out, LZ4, block),
            Self::Zeros(count) => {
                out.push(ZEROS);
                out.extend_from_slice(&count.to_le_bytes());
            }
            Self::Twin(other) => {
                out.push(TWIN);
                out.extend_from_slice(&other.to_le_bytes());
            }
        }
    }

    pub(crate) fn is_delta(&self) -> bool {
        matches!(self, Self::Delta(_))
    }

    /// What the receiver has to hold of it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Zero | Self::Zeros(_) => 0,
            Self::Raw(_) | Self::Delta(_) | Self::Lz4(_) | Self::Twin(_) => PAGE,
        }
    }

    /// How many pages it stands for.
    pub(crate) fn pages(&self) -> u64 {
        match self {
            Self::Zeros(count) => u64::from(*count),
            _ => 1,
        }
    }

    /// The page, `None` for one of zeros. It may be made in `page`; `base` fills in the one that a delta refers to.
    ///
    /// # Errors
    /// What is wrong with it; `page` holds anything then.
    pub(crate) fn decode<'p>(
        &self,
        page: &'p mut Page,
        base: impl FnOnce(&mut Page),
    ) -> Result<Option<&'p Page>, &'static str>
    where
        'a: 'p,
    {
        match self {
            Self::Zero => return Ok(None),
            Self::Raw(raw) => return Ok(Some(raw)),
            Self::Delta(runs) => {
                base(page);
                delta::apply(runs, page).ok_or("a delta is cut or leaves its page")?;
            }
            Self::Lz4(block) => match lz4_flex::block::decompress_into(block, page) {
                Ok(PAGE) => {}
                _ => return Err("a compressed page is none"),
            },
            Self::Zeros(_) => return Err("a run of pages where one belongs"),
            Self::Twin(_) => return Err("a twin after the first copy"),
        }
        Ok(Some(page))
    }
}

fn take_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

fn put_short(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.push(kind);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend(bytes.iter().take(usize::from(length)));
}
