//! Sets of guest pages.

use std::ops::Range;

use crate::error::{Error, Result};

/// 64 TiB of guest RAM; a larger set is cut to this.
const MAX_PAGES: u64 = 1 << 34;

/// A set of page numbers below a fixed number of pages: a bitmap, 32 KiB per GiB of RAM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageSet {
    words: Vec<u64>,
    pages: u64,
}

impl PageSet {
    /// No page, of a RAM of `pages` pages.
    #[must_use]
    pub fn new(pages: u64) -> Self {
        let pages = pages.min(MAX_PAGES);
        let words = usize::try_from(pages.div_ceil(64)).unwrap_or(0);
        Self {
            words: vec![0; words],
            pages,
        }
    }

    /// Every page.
    #[must_use]
    pub fn all(pages: u64) -> Self {
        let mut set = Self::new(pages);
        set.words.fill(u64::MAX);
        if let Some(last) = set.words.last_mut() {
            *last >>= (64 - set.pages % 64) % 64;
        }
        set
    }

    /// The number of pages of the RAM: members are below it.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// How many pages are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether no page is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether the page is in the set.
    #[must_use]
    pub fn contains(&self, page: u64) -> bool {
        self.words
            .get(word_of(page))
            .is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Adds a page.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the RAM has no such page.
    pub fn insert(&mut self, page: u64) -> Result<()> {
        self.insert_run(page..page.saturating_add(1))
    }

    /// Adds the pages of a range.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the RAM lacks some of them; none is added then.
    pub fn insert_run(&mut self, run: Range<u64>) -> Result<()> {
        if run.end > self.pages {
            let len = run.end.saturating_sub(run.start);
            return Err(Error::OutOfRange {
                offset: run.start,
                len,
                size: self.pages,
            });
        }
        let mut page = run.start;
        while page < run.end {
            let next = run.end.min((page / 64 + 1) * 64);
            let bits = u64::MAX >> (64 - (next - page)) << (page % 64);
            if let Some(word) = self.words.get_mut(word_of(page)) {
                *word |= bits;
            }
            page = next;
        }
        Ok(())
    }

    /// The pages of either; its RAM is the larger one.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (small, large) = if self.pages < other.pages {
            (self, other)
        } else {
            (other, self)
        };
        let mut set = large.clone();
        for (word, more) in set.words.iter_mut().zip(&small.words) {
            *word |= more;
        }
        set
    }

    /// The pages that are in both; its RAM is that of `self`.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |word, other| word & other)
    }

    /// The pages that are not in `other`; its RAM is that of `self`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |word, other| word & !other)
    }

    /// The first `count` members, and the others.
    #[must_use]
    pub fn split(&self, count: u64) -> (Self, Self) {
        let mut left = count;
        let first = Self {
            words: self.words.iter().map(|word| lowest(*word, &mut left)).collect(),
            pages: self.pages,
        };
        let rest = self.difference(&first);
        (first, rest)
    }

    /// How many members lie in that range.
    #[must_use]
    pub fn len_within(&self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (first, last) = (word_of(range.start), word_of(range.end - 1));
        let words = self
            .words
            .iter()
            .enumerate()
            .take(last.saturating_add(1))
            .skip(first);
        let bits = words.map(|(at, word)| {
            let from = if at == first {
                u64::MAX << (range.start % 64)
            } else {
                u64::MAX
            };
            let to = if at == last {
                u64::MAX >> (63 - (range.end - 1) % 64)
            } else {
                u64::MAX
            };
            u64::from((word & from & to).count_ones())
        });
        bits.sum()
    }

    /// The first member that is `from` or later.
    #[must_use]
    pub fn first_from(&self, from: u64) -> Option<u64> {
        self.find(from, 0)
    }

    /// The first page of the RAM that is `from` or later and not in the set.
    #[must_use]
    pub fn first_gap_from(&self, from: u64) -> Option<u64> {
        self.find(from, u64::MAX).filter(|page| *page < self.pages)
    }

    /// The first run of neighbouring pages from `from` on.
    #[must_use]
    pub fn run_from(&self, from: u64) -> Option<Range<u64>> {
        let start = self.first_from(from)?;
        Some(start..self.first_gap_from(start).unwrap_or(self.pages))
    }

    /// Runs of neighbouring pages, ascending.
    pub fn runs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let run = self.run_from(from)?;
            from = run.end;
            Some(run)
        })
    }

    /// `choose` must not invent members.
    fn combine(&self, other: &Self, choose: impl Fn(u64, u64) -> u64) -> Self {
        let others = other.words.iter().chain(std::iter::repeat(&0));
        let words = self.words.iter().zip(others);
        Self {
            words: words.map(|(word, other)| choose(*word, *other)).collect(),
            pages: self.pages,
        }
    }

    /// First page at or after `from` whose bit differs from that of `flip` (0: a member, all ones: a gap).
    fn find(&self, from: u64, flip: u64) -> Option<u64> {
        let first = word_of(from);
        let mut mask = u64::MAX << (from % 64);
        for (at, word) in self.words.iter().enumerate().skip(first) {
            let bits = (word ^ flip) & mask;
            if bits != 0 {
                return Some(at as u64 * 64 + u64::from(bits.trailing_zeros()));
            }
            mask = u64::MAX;
        }
        None
    }
}

/// The lowest `left` bits that are set, counted down.
fn lowest(word: u64, left: &mut u64) -> u64 {
    let count = u64::from(word.count_ones());
    if count <= *left {
        *left -= count;
        return word;
    }
    let mut rest = word;
    for _ in 0..std::mem::take(left) {
        rest &= rest - 1;
    }
    word ^ rest
}

fn word_of(page: u64) -> usize {
    usize::try_from(page / 64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn members(set: &PageSet) -> BTreeSet<u64> {
        set.runs().flatten().collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_numbers(
            pages in 0..300u64,
            runs in prop::collection::vec((0..320u64, 0..100u64), 0..12),
        ) {
            let mut set = PageSet::new(pages);
            let mut model = BTreeSet::new();
            for (start, len) in runs {
                let fits = set.insert_run(start..start + len).is_ok();
                prop_assert_eq!(fits, start + len <= pages);
                if fits {
                    model.extend(start..start + len);
                }
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert_eq!(members(&set), model.clone());
            for page in 0..pages + 2 {
                let within = page / 3..page;
                prop_assert_eq!(set.len_within(within.clone()), model.range(within).count() as u64);
                prop_assert_eq!(set.contains(page), model.contains(&page));
                prop_assert_eq!(set.first_from(page), model.range(page..).next().copied());
            }
            for (left, right) in set.runs().zip(set.runs().skip(1)) {
                prop_assert!(left.end < right.start, "runs are as long as can be");
            }
        }

        #[test]
        fn two_sets_are_combined_like_sets_of_numbers(
            a in prop::collection::vec(0..200u64, 0..50), b in prop::collection::vec(0..90u64, 0..50),
        ) {
            let (mut left, mut right) = (PageSet::new(200), PageSet::new(90));
            a.iter().for_each(|page| left.insert(*page).unwrap());
            b.iter().for_each(|page| right.insert(*page).unwrap());
            let (a, b): (BTreeSet<u64>, BTreeSet<u64>) = (a.into_iter().collect(), b.into_iter().collect());
            for (left, right, a, b) in [(&left, &right, &a, &b), (&right, &left, &b, &a)] {
                prop_assert_eq!(members(&left.union(right)), a | b);
                prop_assert_eq!(members(&left.intersection(right)), a & b);
                prop_assert_eq!(members(&left.difference(right)), a - b);
            }
        }

        #[test]
        fn a_set_is_split_after_any_of_its_members(a in prop::collection::vec(0..200u64, 0..150), count in 0..160u64) {
            let mut set = PageSet::new(200);
            a.iter().for_each(|page| set.insert(*page).unwrap());
            let (first, rest) = set.split(count);
            prop_assert_eq!(first.len(), count.min(set.len()));
            let together: Vec<u64> = first.runs().flatten().chain(rest.runs().flatten()).collect();
            prop_assert_eq!(together, set.runs().flatten().collect::<Vec<_>>());
        }

        #[test]
        fn all_is_every_page_once(pages in 0..400u64) {
            let set = PageSet::all(pages);
            prop_assert_eq!(set.len(), pages);
            prop_assert_eq!(members(&set), (0..pages).collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn the_last_number_there_is_does_no_harm() {
        let mut set = PageSet::new(10);
        assert!(set.insert(u64::MAX).is_err());
        assert!(!set.contains(u64::MAX));
        assert_eq!(set.first_from(u64::MAX), None);
    }
}
