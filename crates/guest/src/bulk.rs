//! Bulk: as many bytes as the network carries, in either direction or in both at once, every one of them checked.
//!
//! The client says `DOWN UP\n`, two decimal numbers of MiB, 4096 at most each. Then the service sends the first DOWN MiB
//! of the large file (see `large`) while the client sends the first UP MiB of it. After both the service says `right\n`,
//! or `wrong after N\n` with the number of bytes that were right, at a read's accuracy.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::large::{self, CHUNK, Check};
use crate::line;

const LONGEST_LINE: usize = 64;
const MOST_MIB: u64 = 4096;
const CHUNKS_PER_MIB: u64 = (1 << 20) / CHUNK as u64;

/// Serves one connection; what is no such line ends it.
pub fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(line) = line::read(&mut reader, LONGEST_LINE)? else {
        return Ok(());
    };
    let (down, up) = parse(&line).ok_or(io::ErrorKind::InvalidData)?;
    let (sent, verdict) = thread::scope(|scope| {
        let sender = scope.spawn(move || large::write(stream, down * CHUNKS_PER_MIB));
        let verdict = check(&mut reader, up << 20);
        (sender.join(), verdict)
    });
    sent.map_err(|_| io::Error::other("the sender ended"))??;
    stream.write_all(verdict?.as_bytes())
}

fn parse(line: &[u8]) -> Option<(u64, u64)> {
    let (down, up) = str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    let number = |text: &str| text.parse().ok().filter(|mib| *mib <= MOST_MIB);
    Some((number(down)?, number(up)?))
}

/// Reads `length` bytes and says what it thinks of them.
fn check(reader: &mut impl Read, length: u64) -> io::Result<String> {
    let mut check = Check::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut rest = reader.take(length);
    let mut wrong = None;
    loop {
        let count = match rest.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let before = check.position();
        if wrong.is_none() && !check.feed(buffer.get(..count).unwrap_or_default()) {
            wrong = Some(before);
        }
    }
    if rest.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(wrong.map_or_else(|| "right\n".to_owned(), |at| format!("wrong after {at}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tests::connect;

    fn file(mib: u64) -> Vec<u8> {
        let mut file = Vec::new();
        large::write(&mut file, mib * CHUNKS_PER_MIB).unwrap();
        file
    }

    fn talk(line: &str, upload: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(connect::listen(serve)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(upload).unwrap());
            (&stream).read_to_end(&mut answer).unwrap();
        });
        answer
    }

    #[test]
    fn both_directions_run_at_once_and_both_are_checked() {
        let expected = [file(3), b"right\n".to_vec()].concat();
        assert_eq!(talk("3 2\n", &file(2)), expected);
        assert_eq!(talk("0 1\n", &file(1)), b"right\n");
        assert_eq!(talk("0 0\n", b""), b"right\n");
    }

    #[test]
    fn a_wrong_byte_is_found() {
        let mut upload = file(1);
        upload[700_000] ^= 1;
        let answer = String::from_utf8(talk("0 1\n", &upload)).unwrap();
        let at: usize = answer
            .strip_prefix("wrong after ")
            .unwrap()
            .trim_end()
            .parse()
            .unwrap();
        assert!((600_000..=700_000).contains(&at), "{at}");
    }

    #[test]
    fn what_asks_for_nothing_ends_the_connection() {
        for line in ["\n", "1\n", "x y\n", "-1 0\n", "4097 0\n", "0 4097\n"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
