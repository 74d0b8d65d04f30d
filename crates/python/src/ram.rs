//! Guest RAM, sets of its pages, and the buffer that a checkpoint's pages are copied into.

use crate::errors::from_ram;
use crate::fds::duplicate;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pages of 64 TiB: more than any guest has, few enough for a set of all of them.
const MOST_PAGES: u64 = 1 << 34;

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct GuestRam(pub(crate) colo_ram::GuestRam);

#[pymethods]
impl GuestRam {
    #[new]
    fn new(py: Python<'_>, fd: i32, size: u64) -> PyResult<Self> {
        let fd = duplicate(fd)?;
        py.detach(|| colo_ram::GuestRam::new(fd.as_fd(), size))
            .map(Self)
            .map_err(from_ram)
    }

    fn blocks(&self) -> PyResult<u64> {
        self.0.blocks().map_err(from_ram)
    }

    fn used(&self, py: Python<'_>) -> PyResult<PageSet> {
        py.detach(|| self.0.used()).map(PageSet).map_err(from_ram)
    }

    fn hash(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.hash()).map_err(from_ram)
    }
}

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct PageSet(pub(crate) colo_ram::PageSet);

#[pymethods]
impl PageSet {
    #[staticmethod]
    fn all(pages: u64) -> PyResult<Self> {
        if pages > MOST_PAGES {
            return Err(PyValueError::new_err(format!(
                "{pages} pages are more than a guest can have"
            )));
        }
        Ok(Self(colo_ram::PageSet::all(pages)))
    }

    fn union(&self, py: Python<'_>, other: &Self) -> Self {
        Self(py.detach(|| self.0.union(&other.0)))
    }

    fn difference(&self, py: Python<'_>, other: &Self) -> Self {
        Self(py.detach(|| self.0.difference(&other.0)))
    }

    fn split(&self, py: Python<'_>, count: u64) -> (Self, Self) {
        let (first, rest) = py.detach(|| self.0.split(count));
        (Self(first), Self(rest))
    }

    fn runs(&self, py: Python<'_>) -> usize {
        py.detach(|| self.0.runs().count())
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }
}

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct Encoder(pub(crate) colo_ram::Encoder);

#[pymethods]
impl Encoder {
    #[new]
    #[pyo3(signature = (ram, *, shadow))]
    fn new(py: Python<'_>, ram: &GuestRam, shadow: bool) -> PyResult<Self> {
        py.detach(|| colo_ram::Encoder::new(&ram.0, shadow))
            .map(Self)
            .map_err(from_ram)
    }

    fn shadow_hash(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        py.detach(|| self.0.shadow_hash()).map_err(from_ram)
    }
}

/// What Python calls how much is compressed.
pub(crate) fn lz4(word: &str) -> PyResult<colo_ram::Lz4> {
    match word {
        "never" => Ok(colo_ram::Lz4::Never),
        "sample" => Ok(colo_ram::Lz4::Sample),
        "always" => Ok(colo_ram::Lz4::Always),
        _ => Err(PyValueError::new_err(format!(
            "pages are compressed never, as a sample or always, not {word:?}"
        ))),
    }
}

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct Staging(Mutex<colo_ram::Staging>);

#[pymethods]
impl Staging {
    #[new]
    fn new(py: Python<'_>, ram: &GuestRam, limit_bytes: u64) -> PyResult<Self> {
        let staging = py
            .detach(|| colo_ram::Staging::new(&ram.0, limit_bytes))
            .map_err(from_ram)?;
        Ok(Self(Mutex::new(staging)))
    }

    fn reserve(&self, py: Python<'_>, pages: u64) {
        py.detach(|| self.lock().reserve(pages));
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.lock().clear()).map_err(from_ram)
    }

    fn gather(&self, py: Python<'_>, pages: &PageSet) -> PyResult<u64> {
        py.detach(|| self.lock().gather(&pages.0)).map_err(from_ram)
    }
}

impl Staging {
    /// What the link pulls.
    pub(crate) fn source(
        &self,
        checkpoint: u64,
        device: Vec<u8>,
        encoder: &Encoder,
        lz4: colo_ram::Lz4,
    ) -> colo_ram::StagedState {
        self.lock().source(checkpoint, device, &encoder.0, lz4)
    }

    fn lock(&self) -> MutexGuard<'_, colo_ram::Staging> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
