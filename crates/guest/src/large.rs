//! The content of `/large`: bytes that a client can check one by one at any place, without having kept a copy.
//!
//! The file is a row of chunks of 4096 bytes. A chunk is its number from 0 (8 bytes, little endian), then 4088 bytes
//! of noise, the same in every chunk: words 1 to 511 of splitmix64 with seed 0 (word 0 is not used), 8 bytes each,
//! little endian. So a chunk at the wrong place shows in its number, and a shift within chunks in the noise.
//!
//! splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.

use std::io::{self, Write};

/// Bytes of a chunk.
pub const CHUNK: usize = 4096;

/// Chunks that are written with one call: 64 KiB.
const BATCH: u64 = 16;

/// Writes `chunks` chunks, the whole file.
pub fn write(mut to: impl Write, chunks: u64) -> io::Result<()> {
    let noise = noise();
    let mut batch = Vec::with_capacity(BATCH as usize * CHUNK);
    for first in (0..chunks).step_by(BATCH as usize) {
        batch.clear();
        for number in first..chunks.min(first + BATCH) {
            batch.extend_from_slice(&number.to_le_bytes());
            batch.extend_from_slice(&noise);
        }
        to.write_all(&batch)?;
    }
    Ok(())
}

/// Compares what comes, in pieces of any size, with the file.
pub struct Check {
    noise: Vec<u8>,
    position: u64,
}

impl Check {
    pub fn new() -> Self {
        Self {
            noise: noise(),
            position: 0,
        }
    }

    /// Bytes that came.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes what follows; false when it is something else.
    pub fn feed(&mut self, mut data: &[u8]) -> bool {
        let mut right = true;
        while !data.is_empty() {
            let at = (self.position % CHUNK as u64) as usize;
            let number = (self.position / CHUNK as u64).to_le_bytes();
            let expected = match at.checked_sub(number.len()) {
                None => number.get(at..),
                Some(at) => self.noise.get(at..),
            };
            let expected = expected.unwrap_or_default();
            let (piece, rest) = data.split_at(data.len().min(expected.len()));
            right &= expected.starts_with(piece);
            self.position += piece.len() as u64;
            data = rest;
        }
        right
    }
}

fn noise() -> Vec<u8> {
    (1..CHUNK as u64 / 8)
        .flat_map(|word| splitmix64(word).to_le_bytes())
        .collect()
}

/// Word `index`, from 0, of the generator with seed 0.
fn splitmix64(index: u64) -> u64 {
    let mut z = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first words with seed 0, as published with the reference implementation.
        assert_eq!(
            [splitmix64(0), splitmix64(1)],
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]
        );
    }

    #[test]
    fn the_file_is_told_from_any_other_however_it_is_cut() {
        let mut file = Vec::new();
        write(&mut file, 5).unwrap();
        for size in [1, 7, 8, 4095, 4096, 10_000, 5 * CHUNK] {
            let right = |file: &[u8]| {
                let mut check = Check::new();
                let right = file.chunks(size).all(|piece| check.feed(piece));
                (right, check.position())
            };
            assert_eq!(right(&file), (true, 5 * CHUNK as u64), "{size}");
            for at in [0, 7, 8, 4096, 2 * CHUNK + 5, 5 * CHUNK - 1] {
                let mut wrong = file.clone();
                wrong[at] ^= 1;
                assert!(!right(&wrong).0, "{size} {at}");
            }
        }
    }

    #[test]
    fn a_file_is_its_numbered_chunks_whatever_the_batches() {
        let mut file = Vec::new();
        write(&mut file, BATCH + 3).unwrap();
        assert_eq!(file.len(), (BATCH as usize + 3) * CHUNK);
        for (number, chunk) in file.chunks(CHUNK).enumerate() {
            assert_eq!(chunk[..8], (number as u64).to_le_bytes());
            assert_eq!(chunk[8..], noise()[..]);
        }
    }
}
