//! The secondary's copy of the primary's RAM.

use crate::errors::from_ram;
use crate::ram::{GuestRam, PageSet};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct Replica(pub(crate) Arc<colo_ram::Replica>);

#[pymethods]
impl Replica {
    #[new]
    fn new(py: Python<'_>, ram: &GuestRam, staging_limit: u64) -> PyResult<Self> {
        let replica = py
            .detach(|| colo_ram::Replica::new(&ram.0, staging_limit))
            .map_err(from_ram)?;
        Ok(Self(Arc::new(replica)))
    }

    fn device<'py>(&self, py: Python<'py>, checkpoint: u64) -> PyResult<Bound<'py, PyBytes>> {
        let device = py.detach(|| self.0.device(checkpoint)).map_err(from_ram)?;
        Ok(PyBytes::new(py, &device))
    }

    fn store(&self, py: Python<'_>, checkpoint: u64) -> PyResult<u64> {
        py.detach(|| self.0.store(checkpoint)).map_err(from_ram)
    }

    fn restore(&self, py: Python<'_>, dirty: &PageSet) -> PyResult<u64> {
        py.detach(|| self.0.restore(&dirty.0)).map_err(from_ram)
    }

    fn forget(&self, py: Python<'_>, checkpoint: u64) {
        py.detach(|| self.0.forget(checkpoint));
    }

    fn ram_hash(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.ram_hash()).map_err(from_ram)
    }

    fn cache_hash(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.cache_hash()).map_err(from_ram)
    }
}
