//! Going through a set of pages, one message at a time.

use crate::page_set::PageSet;
use crate::payload::PagesWriter;

/// Pages looked at for one message: what reading and comparing them takes, an urgent message may have to wait for.
const PAGES_PER_MESSAGE: usize = 64;
/// Bytes of a message that is not begun any more, for the same reason.
const FULL: usize = 60 << 10;

/// Where the next message goes on.
pub(crate) struct Cursor {
    pages: PageSet,
    next: u64,
}

impl Cursor {
    pub(crate) fn new(pages: PageSet) -> Self {
        Self { pages, next: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.pages.first_from(self.next).is_none()
    }

    /// Calls `put` with pages until there are none left or the message is full; `None` when it fails.
    pub(crate) fn fill(
        &mut self,
        out: &mut PagesWriter<'_>,
        mut put: impl FnMut(&mut PagesWriter<'_>, u64) -> Option<()>,
    ) -> Option<()> {
        for _ in 0..PAGES_PER_MESSAGE {
            if out.len() >= FULL {
                break;
            }
            let Some(page) = self.pages.first_from(self.next) else {
                break;
            };
            put(out, page)?;
            self.next = page + 1;
        }
        Some(())
    }
}
