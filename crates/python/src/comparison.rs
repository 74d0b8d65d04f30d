//! The comparison alone, without relay and sockets: for tests, and for tools that look at recorded frames.

use colo_compare::{Compare, Event, Limits, Stats};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

#[pyclass(subclass, module = "colo._core")]
pub(crate) struct Comparison(Compare);

#[pymethods]
impl Comparison {
    #[new]
    #[pyo3(signature = (*, hold_ns, held_bytes, flows, pending_bytes))]
    fn new(hold_ns: u64, held_bytes: usize, flows: usize, pending_bytes: usize) -> Self {
        Self(Compare::new(Limits {
            hold_ns,
            held_bytes,
            flows,
            pending_bytes,
        }))
    }

    fn primary(&mut self, nic: u8, frame: &[u8], now: u64) {
        self.0.primary(nic, frame.to_vec(), now);
    }

    fn secondary(&mut self, nic: u8, epoch: u64, frame: &[u8], now: u64) {
        self.0.secondary(nic, epoch, frame, now);
    }

    fn cut(&mut self, checkpoint: u64, now: u64) {
        self.0.cut(checkpoint, now);
    }

    fn commit(&mut self, checkpoint: u64, now: u64) {
        self.0.commit(checkpoint, now);
    }

    fn loaded(&mut self, checkpoint: u64, now: u64) {
        self.0.loaded(checkpoint, now);
    }

    fn alone(&mut self, now: u64) {
        self.0.alone(now);
    }

    fn on_time(&mut self, now: u64) {
        self.0.on_time(now);
    }

    fn next_deadline(&self) -> Option<u64> {
        self.0.next_deadline()
    }

    fn pop_release<'py>(&mut self, py: Python<'py>) -> Option<(u8, Bound<'py, PyBytes>)> {
        let (nic, frame) = self.0.pop_release()?;
        Some((nic, PyBytes::new(py, &frame)))
    }

    fn pop_event<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.pop_event().map(|event| to_tuple(py, event)).transpose()
    }

    fn full(&self) -> bool {
        self.0.full()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Stats {
            held_frames,
            held_bytes,
            flows,
            ..
        } = self.0.stats();
        let now = PyDict::new(py);
        now.set_item("held_frames", held_frames)?;
        now.set_item("held_bytes", held_bytes)?;
        now.set_item("flows", flows)?;
        Ok(now)
    }
}

fn to_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    match event {
        Event::Divergence {
            nic,
            flow,
            kind,
            detail,
            waited_ns,
        } => (
            "divergence",
            nic,
            flow.to_string(),
            kind.to_string(),
            detail,
            waited_ns,
        )
            .into_bound_py_any(py),
        Event::HoldLimit { nic, flow, waited_ns } => {
            ("hold_limit", nic, flow.to_string(), waited_ns).into_bound_py_any(py)
        }
        Event::QueueLimit { bytes } => ("queue_limit", bytes).into_bound_py_any(py),
        Event::Isn { nic, flow, isn } => ("isn", nic, flow.to_string(), isn).into_bound_py_any(py),
    }
}
