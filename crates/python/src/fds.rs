//! Python's descriptors.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Bytes, so that the buffer need not grow.
const USUAL: usize = 1 << 20;

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
    let mut kept = Vec::with_capacity(limit.min(USUAL));
    let beyond = py.detach(|| {
        (&mut pipe).take(limit as u64).read_to_end(&mut kept)?;
        io::copy(&mut pipe, &mut io::sink())
    })?;
    if beyond > 0 {
        let size = limit as u64 + beyond;
        return Err(PyValueError::new_err(format!(
            "{size} bytes, {limit} is the limit"
        )));
    }
    Ok(PyBytes::new(py, &kept))
}
