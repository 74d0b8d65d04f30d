//! A difference with its description, as whoever finds it makes it.

use crate::event::Difference;
use crate::pair::Speaker;

/// Bytes of either side that a sentence shows.
const SHOWN: usize = 8;
/// Bytes of either side that are remembered.
const KEPT: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub kind: Difference,
    pub detail: String,
    /// Where in the stream or message; `None` where that means nothing.
    pub offset: Option<u64>,
    /// A few bytes of both from there.
    pub primary: Vec<u8>,
    pub secondary: Vec<u8>,
}

impl Mismatch {
    /// A difference that a sentence says best.
    pub(crate) const fn told(kind: Difference, detail: String) -> Self {
        Self {
            kind,
            detail,
            offset: None,
            primary: Vec::new(),
            secondary: Vec::new(),
        }
    }

    /// Two runs of bytes that are not equal; `offset` is where they begin.
    pub(crate) fn bytes(kind: Difference, offset: u64, primary: &[u8], secondary: &[u8]) -> Self {
        let same = primary.iter().zip(secondary).take_while(|(a, b)| a == b).count();
        let [primary, secondary] = [primary, secondary].map(|bytes| bytes.get(same..).unwrap_or_default());
        let offset = offset + same as u64;
        let detail = format!(
            "offset {offset}: primary {}, secondary {}",
            hex(primary),
            hex(secondary)
        );
        Self {
            offset: Some(offset),
            primary: few(primary),
            secondary: few(secondary),
            ..Self::told(kind, detail)
        }
    }

    /// One machine says at `offset` something else than it did before.
    pub(crate) fn repeated(who: Speaker, offset: u64, before: &[u8], now: &[u8]) -> Self {
        let (name, primary, secondary) = match who {
            Speaker::Primary => ("primary", now, [].as_slice()),
            Speaker::Secondary => ("secondary", [].as_slice(), now),
        };
        let detail = format!(
            "offset {offset}: the {name} said {}, now {}",
            hex(before),
            hex(now)
        );
        Self {
            offset: Some(offset),
            primary: few(primary),
            secondary: few(secondary),
            ..Self::told(Difference::Stream, detail)
        }
    }

    /// The SVM has not sent what the PVM has.
    pub(crate) fn missing(kind: Difference, offset: Option<u64>, primary: &[u8], detail: String) -> Self {
        Self {
            offset,
            primary: few(primary),
            ..Self::told(kind, detail)
        }
    }
}

fn few(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().take(KEPT).copied().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(SHOWN)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_names_its_first_byte_and_shows_a_few() {
        let found = Mismatch::bytes(Difference::Stream, 100, b"abcdefghijklmnop", b"abXdefghijklmnop");
        assert_eq!(
            found.detail,
            "offset 102: primary 636465666768696a, secondary 586465666768696a"
        );
        assert_eq!(found.offset, Some(102));
        assert_eq!(found.primary, b"cdefghijklmnop");
    }

    #[test]
    fn of_long_runs_only_the_beginning_is_kept() {
        let found = Mismatch::bytes(Difference::Message, 0, &[1; 9000], &[2; 9000]);
        assert_eq!((found.primary, found.secondary), (vec![1; KEPT], vec![2; KEPT]));
    }
}
