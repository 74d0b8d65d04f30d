//! Lines of bounded length.

use std::io::{self, BufRead, Read};

/// Reads one line with its `\n`. `None` at the end of the stream; a line longer than `limit` bytes, or one that the
/// stream cuts short, is an error of kind `InvalidData` or `UnexpectedEof`.
pub fn read(reader: &mut impl BufRead, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.by_ref().take(limit as u64).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() == limit => Err(io::ErrorKind::InvalidData.into()),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one_with_their_ends() {
        let mut input = &b"a\r\n\nb"[..];
        assert_eq!(read(&mut input, 10).unwrap(), Some(b"a\r\n".to_vec()));
        assert_eq!(read(&mut input, 10).unwrap(), Some(b"\n".to_vec()));
        assert_eq!(
            read(&mut input, 10).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(read(&mut &b""[..], 10).unwrap(), None);
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_and_one_at_the_limit_is_not() {
        assert_eq!(read(&mut &b"123\n"[..], 4).unwrap(), Some(b"123\n".to_vec()));
        assert_eq!(
            read(&mut &b"1234\n"[..], 4).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
