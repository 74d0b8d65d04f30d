//! Dirty pages, and the userfaultfd that shows them.

use crate::errors::from_ram;
use crate::fds::duplicate;
use crate::ram::{GuestRam, PageSet};
use pyo3::prelude::*;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct Tracker(Mutex<Box<dyn colo_ram::Tracker>>);

#[pymethods]
impl Tracker {
    #[new]
    fn new(py: Python<'_>, kind: &str, pid: i32, ram: &GuestRam, uffd: Option<i32>) -> PyResult<Self> {
        let kind = kind.parse().map_err(from_ram)?;
        let uffd = uffd.map(duplicate).transpose()?;
        let tracker = py
            .detach(|| colo_ram::open_tracker(kind, pid, &ram.0, uffd))
            .map_err(from_ram)?;
        Ok(Self(Mutex::new(tracker)))
    }

    #[pyo3(signature = (*, stopped = false))]
    fn collect(&self, py: Python<'_>, stopped: bool) -> PyResult<PageSet> {
        let collect = || {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .collect(stopped)
        };
        py.detach(collect).map(PageSet).map_err(from_ram)
    }

    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).count())
            .map_err(from_ram)
    }
}

#[pyfunction]
pub(crate) fn probe_trackers(py: Python<'_>) -> Vec<(&'static str, bool, String)> {
    let probes = py.detach(colo_ram::probe_trackers);
    probes
        .into_iter()
        .map(|probe| (probe.kind.name(), probe.usable, probe.why))
        .collect()
}

#[pyfunction]
pub(crate) fn receive_uffd(py: Python<'_>, fd: i32, timeout_ms: u64) -> PyResult<(i32, i32)> {
    let stream = UnixStream::from(duplicate(fd)?);
    let deadline = Instant::now() + Duration::from_millis(timeout_ms.min(u64::from(u32::MAX)));
    let received = py
        .detach(|| colo_ram::receive_uffd(&stream, deadline))
        .map_err(from_ram)?;
    Ok((received.uffd.into_raw_fd(), received.pid))
}
