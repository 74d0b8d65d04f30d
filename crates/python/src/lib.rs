//! `colo._core`: the Rust core as Python sees it. Names, shapes and errors are documented in `_core.pyi`.
//!
//! Nothing is decided here. Every call that waits or copies releases the GIL.

mod comparison;
mod errors;
mod events;
mod fds;
mod ram;
mod relay;
mod replica;
mod tracker;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use super::comparison::Comparison;
    #[pymodule_export]
    use super::errors::{StagingLimitError, TrackingLostError};
    #[pymodule_export]
    use super::fds::read_to_end;
    #[pymodule_export]
    use super::ram::{Encoder, GuestRam, PageSet, Staging};
    #[pymodule_export]
    use super::relay::{Relay, Tls};
    #[pymodule_export]
    use super::replica::Replica;
    #[pymodule_export]
    use super::tracker::{Tracker, probe_trackers, receive_uffd};

    #[pymodule_export]
    const PAGE_SIZE: usize = colo_ram::PAGE;

    #[pyfunction]
    fn boottime_ns() -> u64 {
        colo_relay::boottime_ns()
    }

    #[pyfunction]
    fn uffd_shim(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, include_bytes!(concat!(env!("OUT_DIR"), "/uffd_shim.so")))
    }

    #[pyfunction]
    fn guest_program(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, include_bytes!(concat!(env!("OUT_DIR"), "/guest")))
    }
}
