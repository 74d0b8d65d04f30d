//! Where a flow stands in the table: a hash whose keys no client knows, for clients choose addresses and ports.
//!
//! Multilinear-HM of Lemire and Kaser, "Strongly universal string hashing is fast" (Computer Journal 57, 2014), over
//! 32-bit characters: two keys, whatever they are, get the same 32 bits for one in 2^32 draws of the hash's own keys.

use std::hash::{BuildHasher, RandomState};

use crate::table::Key;

/// Two for each number of a flow, and one more.
const KEYS: usize = 13;

/// The keys of one table.
#[derive(Debug)]
pub(crate) struct Scatter([u64; KEYS]);

impl Scatter {
    /// With keys that the operating system's randomness decides.
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self(std::array::from_fn(|index| random.hash_one(index)))
    }

    /// 32 bits, twice: a table may use either end.
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        let mut words = key.flow.words();
        // Nothing of a flow stands there.
        words[5] |= u64::from(key.nic) << 32;
        let [first, keys @ ..] = &self.0;
        let (pairs, _) = keys.as_chunks();
        let sum = pairs.iter().zip(words).fold(*first, |sum, ([one, other], word)| {
            let (low, high) = (word & 0xffff_ffff, word >> 32);
            sum.wrapping_add(one.wrapping_add(low).wrapping_mul(other.wrapping_add(high)))
        });
        let top = sum >> 32;
        top << 32 | top
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use colo_packet::FlowKey;
    use std::collections::HashSet;

    fn key(nic: u8, at: usize, value: u8) -> Key {
        let mut bytes = [0; FlowKey::ENCODED];
        // The first byte names one of five networks.
        bytes[at] = if at == 0 { value % 5 } else { value };
        let flow = FlowKey::decode(&bytes).unwrap();
        Key { nic, flow }
    }

    #[test]
    fn every_byte_of_a_key_counts() {
        let scatter = Scatter::new();
        let mut keys: Vec<_> = (0..FlowKey::ENCODED)
            .flat_map(|at| (1..5).map(move |value| key(0, at, value)))
            .collect();
        keys.extend((0..=255).map(|nic| key(nic, 0, 0)));
        let hashes: HashSet<_> = keys.iter().map(|key| scatter.hash(key)).collect();
        // Of some 430 keys two are the same for one in 50,000 draws.
        assert!(hashes.len() + 1 >= keys.len());
    }

    #[test]
    fn another_table_scatters_otherwise() {
        let (one, other) = (Scatter::new(), Scatter::new());
        let same = (0..=255).filter(|nic| one.hash(&key(*nic, 0, 0)) == other.hash(&key(*nic, 0, 0)));
        assert!(same.count() < 3);
    }
}
