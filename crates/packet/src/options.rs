//! TCP options (RFC 9293 section 3.1, RFC 2018, RFC 7323).

use crate::field;

pub(crate) const WINDOW_SCALE: u8 = 3;
pub(crate) const TIMESTAMPS: u8 = 8;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const SACK: u8 = 5;

/// Edge of a SACK block.
const EDGE: usize = 4;

#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// `END` for what stands behind a lying length.
    pub(crate) kind: u8,
    /// Offset of `data` in the options.
    pub(crate) at: usize,
    pub(crate) data: &'a [u8],
}

/// The options but for padding. A lying length makes all that is left one last entry.
pub(crate) fn entries(options: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += options
            .iter()
            .skip(at)
            .take_while(|kind| **kind == NO_OPERATION)
            .count();
        let kind = options.get(at).copied().filter(|kind| *kind != END)?;
        let entry = entry(options, kind, at);
        at = entry.at + entry.data.len();
        Some(entry)
    })
}

fn entry(options: &[u8], kind: u8, at: usize) -> Entry<'_> {
    let length = options.get(at + 1).map_or(0, |length| usize::from(*length));
    match options.get(at + 2..at + length) {
        Some(data) => Entry {
            kind,
            at: at + 2,
            data,
        },
        None => Entry {
            kind: END,
            at,
            data: options.get(at..).unwrap_or_default(),
        },
    }
}

/// Offsets of the SACK blocks in the options: left edge, then right edge, 4 bytes each.
pub(crate) fn sack_offsets(options: &[u8]) -> impl Iterator<Item = usize> {
    let sacks = entries(options).filter(|entry| entry.kind == SACK && entry.data.len() % (2 * EDGE) == 0);
    sacks.flat_map(|entry| (entry.at..entry.at + entry.data.len()).step_by(2 * EDGE))
}

pub(crate) fn sack_block(options: &[u8], at: usize) -> Option<(u32, u32)> {
    Some((field::u32(options, at)?, field::u32(options, at + EDGE)?))
}
