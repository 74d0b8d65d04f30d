//! The sum over a checkpoint, of what it holds rather than of how it was sent: a delta that was applied to another page
//! than it was made from shows too.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::Page;

/// Pages in any order, each with its number. Against faults, not against forgers: those have no certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) pages: u64,
    value: u64,
}

impl Sum {
    /// A page; `None` is one of zeros.
    pub(crate) fn add(&mut self, index: u64, page: Option<&Page>) {
        let hash = xxh3_64_with_seed(page.map_or(&[], |page| page.as_slice()), index);
        self.value = self.value.wrapping_add(hash);
        self.pages += 1;
    }

    /// A run of pages of zeros.
    pub(crate) fn add_zeros(&mut self, start: u64, count: u32) {
        let hash = xxh3_64_with_seed(&count.to_le_bytes(), start);
        self.value = self.value.wrapping_add(hash);
        self.pages += u64::from(count);
    }

    /// The checksum of these pages and this device state.
    pub(crate) fn digest(&self, device: &[u8]) -> u64 {
        self.value ^ xxh3_64(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PAGE;

    fn sum(pages: &[(u64, Option<u8>)], device: &[u8]) -> u64 {
        let mut sum = Sum::default();
        for (index, fill) in pages {
            sum.add(*index, fill.map(|fill| [fill; PAGE]).as_ref());
        }
        sum.digest(device)
    }

    #[test]
    fn the_order_does_not_count_but_place_content_and_device_state_do() {
        let expected = sum(&[(1, Some(5)), (2, None)], b"d");
        assert_eq!(sum(&[(2, None), (1, Some(5))], b"d"), expected);
        assert_ne!(sum(&[(2, Some(5)), (1, None)], b"d"), expected);
        assert_ne!(sum(&[(1, Some(6)), (2, None)], b"d"), expected);
        assert_ne!(sum(&[(1, Some(5))], b"d"), expected);
        assert_ne!(sum(&[(1, Some(5)), (2, None), (2, None)], b"d"), expected);
        assert_ne!(sum(&[(1, Some(5)), (2, None)], b"e"), expected);
    }
}
