//! The counter: for every line of a connection the answer `N HASH\n`.
//!
//! `N` counts the lines of this connection from 1, in decimal. `HASH` is FNV-1a (64 bits) over all bytes of this
//! connection up to and including this line's `\n`, as 16 lower-case hexadecimal digits. So a client that remembers
//! what it sent knows whether the guest forgot, repeated or exchanged anything. A line has at most 4096 bytes with
//! its `\n`; a longer one ends the connection.
//!
//! FNV-1a: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;

use crate::line;
use crate::stats::Stats;

const LONGEST_LINE: usize = 4096;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What a connection has said so far.
pub struct Counter {
    lines: u64,
    hash: u64,
}

impl Counter {
    pub fn new() -> Self {
        Self {
            lines: 0,
            hash: FNV_OFFSET,
        }
    }

    /// Takes a line with its `\n`, gives the answer with its `\n`.
    pub fn answer(&mut self, line: &[u8]) -> String {
        self.lines += 1;
        self.hash = line.iter().fold(self.hash, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
        });
        format!("{} {:016x}\n", self.lines, self.hash)
    }
}

/// Serves one connection until the client ends it.
pub fn serve(mut stream: &TcpStream, stats: &Stats) -> io::Result<()> {
    let mut counter = Counter::new();
    let mut reader = BufReader::new(stream);
    while let Some(line) = line::read(&mut reader, LONGEST_LINE)? {
        stats.counter_lines.add(1);
        stream.write_all(counter.answer(&line).as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::connect;

    #[test]
    fn the_hash_is_fnv_1a_over_everything_so_far() {
        let mut counter = Counter::new();
        // A test vector of the draft.
        assert_eq!(counter.answer(b"foobar"), "1 85944171f73967e8\n");
        let mut whole = Counter::new();
        whole.answer(b"foo");
        assert_eq!(whole.answer(b"bar"), "2 85944171f73967e8\n");
    }

    #[test]
    fn every_line_is_answered_in_order_and_connections_count_apart() {
        let stats = std::sync::Arc::new(Stats::default());
        let counted = std::sync::Arc::clone(&stats);
        let address = connect::listen(move |stream| serve(stream, &counted));
        for _ in 0..2 {
            let answers = connect::talk(address, b"one\ntwo\n");
            let mut expected = Counter::new();
            assert_eq!(answers, expected.answer(b"one\n") + &expected.answer(b"two\n"));
        }
        assert_eq!(stats.counter_lines.get(), 4);
    }

    #[test]
    fn a_line_without_end_ends_the_connection_unanswered() {
        let stats = Stats::default();
        let address = connect::listen(move |stream| serve(stream, &stats));
        assert_eq!(connect::talk(address, &[b'x'; LONGEST_LINE + 1]), "");
    }
}
