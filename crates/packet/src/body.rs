//! The bytes of a message that a client could tell apart.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What is compared of a message: checksums, TTL and IP id are left out.
///
/// Two slices, since those fields stand between; within a flow all messages are cut in the same way.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    parts: [&'a [u8]; 2],
}

impl<'a> Body<'a> {
    pub(crate) const fn new(first: &'a [u8], second: &'a [u8]) -> Self {
        Self {
            parts: [first, second],
        }
    }

    /// The slices; the first one is often empty.
    #[must_use]
    pub const fn parts(&self) -> &[&'a [u8]; 2] {
        &self.parts
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// No bytes at all, as in an empty datagram.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same bytes, cut alike.
    #[must_use]
    pub fn equals(&self, other: &Body<'_>) -> bool {
        self.parts == other.parts
    }

    /// A hash (XXH3) for finding an equal message quickly. Not against forgery: `equals` decides.
    #[must_use]
    pub fn hash64(&self, seed: u64) -> u64 {
        self.parts
            .iter()
            .fold(seed, |seed, part| xxh3_64_with_seed(part, seed))
    }
}
