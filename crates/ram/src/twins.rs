//! Pages of which the secondary has the content already, as that of another page.

use crate::Page;
use xxhash_rust::xxh3::xxh3_64;

const WAYS: usize = 4;

/// Where a content was sent: 8 bytes for each page of the RAM, while the first copy lasts. It may forget, and what it
/// tells is a guess: who asks compares the pages. So a guest that builds collisions gains nothing, and a page that was
/// sent again is none.
pub(crate) struct Twins {
    /// In each place the upper half of the hash, and a page's number and one; 0 is an empty place.
    buckets: Vec<[u64; WAYS]>,
}

/// Of a page's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn of(page: &Page) -> Self {
        Self(xxh3_64(page))
    }

    fn tag(self) -> u64 {
        self.0 & !u64::from(u32::MAX)
    }
}

impl Twins {
    /// For a RAM of so many pages.
    pub(crate) fn new(pages: u64) -> Self {
        let buckets = usize::try_from(pages).unwrap_or(0).div_ceil(WAYS);
        Self {
            buckets: vec![[0; WAYS]; buckets],
        }
    }

    /// A page that was sent with this hash and `is_same`, which is asked for at most four.
    pub(crate) fn find(&self, hash: Hash, mut is_same: impl FnMut(u64) -> bool) -> Option<u64> {
        let known = self.buckets.get(self.bucket(hash)?)?;
        let alike = known
            .iter()
            .filter(|place| **place & !u64::from(u32::MAX) == hash.tag());
        let mut pages = alike.filter_map(|place| (place & u64::from(u32::MAX)).checked_sub(1));
        pages.find(|page| is_same(*page))
    }

    /// This page was sent. It takes the place of another one where there is none left.
    pub(crate) fn note(&mut self, hash: Hash, page: u64) {
        let Ok(number) = u32::try_from(page.saturating_add(1)) else {
            return;
        };
        let Some(known) = self.bucket(hash).and_then(|at| self.buckets.get_mut(at)) else {
            return;
        };
        let oldest = number as usize % WAYS;
        let at = known.iter().position(|place| *place == 0).unwrap_or(oldest);
        if let Some(place) = known.get_mut(at) {
            *place = hash.tag() | u64::from(number);
        }
    }

    fn bucket(&self, hash: Hash) -> Option<usize> {
        let low = hash.0 & u64::from(u32::MAX);
        usize::try_from(low).ok()?.checked_rem(self.buckets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_page_is_found_by_its_content_unless_it_has_another_one_by_now() {
        let mut twins = Twins::new(100);
        let hash = Hash(0xABCD_0000_0007);
        assert_eq!(twins.find(hash, |_| true), None);
        twins.note(hash, 0);
        twins.note(hash, 7);
        assert_eq!(twins.find(hash, |_| true), Some(0));
        assert_eq!(twins.find(hash, |page| page == 7), Some(7));
        assert_eq!(twins.find(hash, |_| false), None);
        assert_eq!(twins.find(Hash(0xABCE_0000_0007), |_| true), None);
    }

    #[test]
    fn a_guest_that_builds_collisions_is_asked_about_four_pages_only() {
        let mut twins = Twins::new(1000);
        (0..1000).for_each(|page| twins.note(Hash(5), page));
        let mut asked = 0;
        twins.find(Hash(5), |_| {
            asked += 1;
            false
        });
        assert_eq!(asked, 4);
    }

    #[test]
    fn a_ram_without_pages_and_pages_beyond_what_it_can_count_are_left_out() {
        let mut none = Twins::new(0);
        none.note(Hash(1), 1);
        assert_eq!(none.find(Hash(1), |_| true), None);
        let mut twins = Twins::new(4);
        twins.note(Hash(1), u64::from(u32::MAX));
        twins.note(Hash(1), u64::MAX);
        assert_eq!(twins.find(Hash(1), |_| true), None);
    }

    proptest! {
        #[test]
        fn what_is_found_was_noted_with_that_hash(notes in prop::collection::vec((0..40_u64, 0..100_u64), 0..200)) {
            let mut twins = Twins::new(60);
            let mut model: HashMap<u64, Vec<u64>> = HashMap::new();
            for (low, page) in notes {
                let hash = low | low << 40;
                let known = model.entry(hash).or_default();
                let found = twins.find(Hash(hash), |_| true);
                prop_assert!(found.is_none_or(|page| known.contains(&page)));
                twins.note(Hash(hash), page);
                known.push(page);
                prop_assert_eq!(twins.find(Hash(hash), |found| found == page), Some(page));
            }
        }
    }
}
