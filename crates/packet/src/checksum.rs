//! The Internet checksum, whole (RFC 1071) and mended (RFC 1624).

use crate::field;

/// The running sum of 16-bit big-endian words in one's complement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd last byte is padded with zero, so only the last call may have an odd length.
    #[must_use]
    pub fn over(self, bytes: &[u8]) -> Self {
        let pairs = bytes.chunks_exact(2);
        let odd: u64 = pairs.remainder().iter().map(|byte| u64::from(*byte) << 8).sum();
        let words: u64 = pairs.filter_map(|pair| field::u16(pair, 0)).map(u64::from).sum();
        Self(self.0 + words + odd)
    }

    /// The checksum to put into the packet.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !fold(self.0)
    }
}

/// The checksum after `old` became `new` in place.
///
/// HC' = ~(~HC + ~m + m'), RFC 1624 equation 3. `odd`: the bytes begin at an odd offset of the checksummed data.
#[must_use]
pub fn mend(checksum: u16, old: &[u8], new: &[u8], odd: bool) -> u16 {
    let minus = weigh(old, odd).map(|word| u64::from(!word));
    let plus = weigh(new, odd).map(u64::from);
    !fold(u64::from(!checksum) + minus.sum::<u64>() + plus.sum::<u64>())
}

/// Each byte as the word it contributes.
fn weigh(bytes: &[u8], odd: bool) -> impl Iterator<Item = u16> {
    let low_first = usize::from(odd);
    bytes
        .iter()
        .enumerate()
        .map(move |(index, byte)| match (index + low_first) % 2 {
            0 => u16::from(*byte) << 8,
            _ => u16::from(*byte),
        })
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
