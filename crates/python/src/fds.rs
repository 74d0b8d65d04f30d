//! Python's descriptors.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};

const CHUNK: usize = 1 << 16;

/// Our own copy of a descriptor that Python owns.
pub(crate) fn duplicate(fd: i32) -> PyResult<OwnedFd> {
    if fd < 0 {
        return Err(PyValueError::new_err(format!("{fd} is not a file descriptor")));
    }
    // SAFETY: it is not -1, and only used for the dup below, which refuses what is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(borrowed.try_clone_to_owned()?)
}

/// Without the GIL, which a thread that is woken for each piece would fight for.
#[pyfunction]
pub(crate) fn read_to_end(py: Python<'_>, fd: i32, limit: usize) -> PyResult<Bound<'_, PyBytes>> {
    let mut pipe = File::from(duplicate(fd)?);
    let (kept, size) = py.detach(|| drain(&mut pipe, limit))?;
    if size > limit as u64 {
        return Err(PyValueError::new_err(format!(
            "{size} bytes, {limit} is the limit"
        )));
    }
    Ok(PyBytes::new(py, &kept))
}

/// At most `limit` bytes of it, and how many there were.
fn drain(source: &mut impl Read, limit: usize) -> io::Result<(Vec<u8>, u64)> {
    let mut kept = Vec::with_capacity(limit.min(CHUNK * 16));
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let count = match source.read(&mut chunk) {
            Ok(0) => return Ok((kept, size)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        size += count as u64;
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(chunk.get(..count.min(room)).unwrap_or_default());
    }
}
