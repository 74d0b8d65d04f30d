//! What changed in a page, as runs of 8-byte words: `u8 words to skip, u8 words that follow, these words`. A run of no
//! words only skips. After XBZRLE of QEMU (docs/devel/migration), which counts bytes: words are found faster, and what
//! guests change is mostly counters and pointers.

use crate::Page;

const WORD: usize = 8;
/// Words that are looked at together: most of a page has not changed.
const STRIDE: usize = 64;

/// Appends what makes `page` of `base`; false, with `out` as it was, when that is more than `limit` bytes.
/// Equal pages take no byte.
pub(crate) fn put(out: &mut Vec<u8>, base: &Page, page: &Page, limit: usize) -> bool {
    let start = out.len();
    let mut run = Run::default();
    let (old, _) = base.as_chunks::<STRIDE>();
    let (new, _) = page.as_chunks::<STRIDE>();
    for (old, new) in old.iter().zip(new) {
        if old == new {
            run.skip(STRIDE / WORD);
        } else {
            let (old, _) = old.as_chunks::<WORD>();
            let (new, _) = new.as_chunks::<WORD>();
            old.iter().zip(new).for_each(|(old, new)| run.word(out, old, new));
        }
        if out.len() - start > limit {
            out.truncate(start);
            return false;
        }
    }
    true
}

/// The run that is being written.
#[derive(Default)]
struct Run {
    skipped: usize,
    /// Where its count stands.
    count_at: Option<usize>,
}

impl Run {
    fn skip(&mut self, words: usize) {
        self.skipped += words;
        self.count_at = None;
    }

    fn word(&mut self, out: &mut Vec<u8>, old: &[u8; WORD], new: &[u8; WORD]) {
        if old == new {
            return self.skip(1);
        }
        let open = self.count_at.and_then(|at| out.get_mut(at));
        match open.filter(|count| **count < u8::MAX) {
            Some(count) => *count += 1,
            None => self.begin(out),
        }
        out.extend_from_slice(new);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        while self.skipped > usize::from(u8::MAX) {
            out.extend_from_slice(&[u8::MAX, 0]);
            self.skipped -= usize::from(u8::MAX);
        }
        let skipped = std::mem::take(&mut self.skipped) as u8;
        self.count_at = Some(out.len() + 1);
        out.extend_from_slice(&[skipped, 1]);
    }
}

/// Makes the new page of the old one; `None` when these are no runs within a page.
pub(crate) fn apply(mut runs: &[u8], page: &mut Page) -> Option<()> {
    let mut rest: &mut [u8] = page;
    while let Some((&[skip, count], after)) = runs.split_first_chunk() {
        let (skip, count) = (usize::from(skip) * WORD, usize::from(count) * WORD);
        let (words, after) = after.split_at_checked(count)?;
        let (place, behind) = rest.get_mut(skip..)?.split_at_mut_checked(count)?;
        place.copy_from_slice(words);
        (rest, runs) = (behind, after);
    }
    runs.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PAGE;
    use proptest::prelude::*;

    fn delta(base: &Page, page: &Page) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(put(&mut out, base, page, usize::MAX));
        out
    }

    proptest! {
        #[test]
        fn a_page_comes_back_from_its_base(
            fill: u8,
            writes in prop::collection::vec((0..PAGE, prop::collection::vec(any::<u8>(), 1..600)), 0..40),
        ) {
            let base = [fill; PAGE];
            let mut page = base;
            for (at, bytes) in writes {
                let end = PAGE.min(at + bytes.len());
                page[at..end].copy_from_slice(&bytes[..end - at]);
            }
            let runs = delta(&base, &page);
            let mut made = base;
            prop_assert_eq!(apply(&runs, &mut made), Some(()));
            prop_assert!(made == page);
            prop_assert_eq!(runs.is_empty(), page == base);
        }

        #[test]
        fn any_bytes_are_applied_or_refused(runs in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut page = [7; PAGE];
            let _ = apply(&runs, &mut page);
        }
    }

    #[test]
    fn a_changed_word_takes_ten_bytes_and_two_for_each_long_way_to_it() {
        let base = [0; PAGE];
        for (at, runs) in [(0, 10), (2039, 10), (2048, 12), (PAGE - 1, 14)] {
            let mut page = base;
            page[at] = 1;
            assert_eq!(delta(&base, &page).len(), runs, "{at}");
        }
    }

    #[test]
    fn what_is_too_long_leaves_no_trace() {
        let (base, page) = ([0; PAGE], [1; PAGE]);
        let whole = delta(&base, &page).len();
        assert_eq!(whole, PAGE + 3 * 2);
        let mut out = b"before".to_vec();
        assert!(!put(&mut out, &base, &page, whole - 1));
        assert_eq!(out, b"before");
        assert!(put(&mut out, &base, &page, whole));
    }

    #[test]
    fn runs_that_leave_the_page_or_are_cut_are_refused() {
        let word = [9; WORD];
        let beyond = [&[255, 0, 255, 0, 1, 1][..], &word, &[0, 1], &word].concat();
        for runs in [
            &[0][..],
            &[0, 1],
            &[0, 1, 1, 2, 3],
            &[255, 0, 255, 0, 3, 0],
            &beyond,
        ] {
            assert_eq!(apply(runs, &mut [0; PAGE]), None, "{runs:?}");
        }
    }
}
