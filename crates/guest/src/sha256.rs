//! SHA-256 (FIPS 180-4), so that the guest needs nothing but the standard library.

/// Bytes of a block.
const BLOCK: usize = 64;

/// Fractional parts of the cube roots of the first 64 primes (section 4.2.2).
#[rustfmt::skip]
const ROUND: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];
/// Fractional parts of the square roots of the first 8 primes (section 5.3.3).
#[rustfmt::skip]
const INITIAL: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

/// A hash of what came so far.
pub struct Sha256 {
    state: [u32; 8],
    /// The beginning of a block.
    rest: Vec<u8>,
    length: u64,
}

impl Sha256 {
    pub fn new() -> Self {
        Self {
            state: INITIAL,
            rest: Vec::with_capacity(BLOCK),
            length: 0,
        }
    }

    /// Takes what follows, in pieces of any size.
    pub fn feed(&mut self, mut data: &[u8]) {
        self.length += data.len() as u64;
        if !self.rest.is_empty() {
            let (head, tail) = data.split_at(data.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(head);
            data = tail;
            if let Some(block) = self.rest.first_chunk() {
                compress(&mut self.state, block);
                self.rest.clear();
            }
        }
        while let Some((block, tail)) = data.split_first_chunk() {
            compress(&mut self.state, block);
            data = tail;
        }
        self.rest.extend_from_slice(data);
    }

    /// The hash, in hexadecimal digits.
    pub fn finish(mut self) -> String {
        let bits = self.length.wrapping_mul(8);
        self.feed(&[0x80]);
        while self.rest.len() != BLOCK - 8 {
            self.feed(&[0]);
        }
        self.feed(&bits.to_be_bytes());
        self.state.iter().map(|word| format!("{word:08x}")).collect()
    }
}

/// Section 6.2.2.
#[allow(clippy::many_single_char_names, reason = "the names of the standard")]
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (constant, word) in ROUND.iter().zip(schedule(block)) {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let t1 = [s1, choice, *constant, word]
            .iter()
            .fold(h, |sum, term| sum.wrapping_add(*term));
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) ^ (a & c) ^ (b & c);
        (h, g, f, e) = (g, f, e, d.wrapping_add(t1));
        (d, c, b, a) = (c, b, a, t1.wrapping_add(s0).wrapping_add(majority));
    }
    for (word, worked) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(worked);
    }
}

/// The 64 words of a block.
#[allow(clippy::indexing_slicing, reason = "all indices are constants below 64")]
fn schedule(block: &[u8; BLOCK]) -> [u32; 64] {
    let mut words = [0; 64];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..64 {
        let (early, late): (u32, u32) = (words[at - 15], words[at - 2]);
        let s0 = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
        let s1 = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
        words[at] = [s0, words[at - 7], s1]
            .iter()
            .fold(words[at - 16], |sum, term| sum.wrapping_add(*term));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(data: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.feed(data);
        hash.finish()
    }

    #[test]
    fn the_examples_of_the_standard_are_right() {
        let cases: [(&[u8], &str); 3] = [
            (
                b"",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                b"abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(hash(text), expected);
        }
    }

    #[test]
    fn pieces_of_any_size_hash_like_the_whole() {
        let data: Vec<u8> = (0..1000_u32).map(|number| number as u8).collect();
        for size in [1, 3, 55, 56, 63, 64, 65, 200, 1000] {
            let mut pieces = Sha256::new();
            data.chunks(size).for_each(|piece| pieces.feed(piece));
            assert_eq!(pieces.finish(), hash(&data), "{size}");
        }
    }
}
