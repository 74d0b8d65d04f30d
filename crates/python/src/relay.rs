//! The relay thread.

use crate::errors::{from_relay, from_tls};
use crate::events::{divergence_to_tuple, to_tuple};
use crate::fds::duplicate;
use crate::ram::{self, Encoder, GuestRam, PageSet, Staging};
use crate::replica::Replica;
use colo_relay::{Config, Error, UplinkKind};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const MIB: usize = 1 << 20;

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct Tls(colo_link::Tls);

#[pymethods]
impl Tls {
    #[new]
    fn new(py: Python<'_>, ca: PathBuf, cert: PathBuf, key: PathBuf) -> PyResult<Self> {
        py.detach(|| colo_link::Tls::load(&ca, &cert, &key))
            .map(Self)
            .map_err(from_tls)
    }
}

#[pyclass(frozen, module = "colo._core")]
pub(crate) struct Relay(colo_relay::Relay);

impl Relay {
    /// A call with the GIL released.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&colo_relay::Relay) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        py.detach(|| call(&self.0)).map_err(from_relay)
    }
}

#[pymethods]
impl Relay {
    #[new]
    #[pyo3(signature = (nics, hold_ms, held_mib, heartbeat_ms, peer_timeout_ms, stall_timeout_ms, *, offloads = Vec::new()))]
    fn new(
        nics: u8,
        hold_ms: u64,
        held_mib: usize,
        heartbeat_ms: u64,
        peer_timeout_ms: u64,
        stall_timeout_ms: u64,
        offloads: Vec<u8>,
    ) -> PyResult<Self> {
        let mut bits = offloads.iter().map(|nic| 1_u32.checked_shl((*nic).into()));
        let offloads = bits.try_fold(0, |all, bit| Some(all | bit?));
        let offloads =
            offloads.ok_or_else(|| PyValueError::new_err("offloads are for the first 32 cards"))?;
        let held_bytes = held_mib.saturating_mul(MIB);
        let config = Config {
            nics,
            offloads,
            hold_ms,
            held_bytes,
            heartbeat_ms,
            peer_timeout_ms,
            stall_timeout_ms,
        };
        colo_relay::Relay::start(config).map(Self).map_err(from_relay)
    }

    fn fileno(&self) -> i32 {
        self.0.event_fd().as_raw_fd()
    }

    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events: PyResult<Vec<_>> = self
            .0
            .events()
            .into_iter()
            .map(|event| to_tuple(py, event))
            .collect();
        PyList::new(py, events?)
    }

    fn attach_vm(&self, py: Python<'_>, nic: u8, fd: i32) -> PyResult<()> {
        let fd = duplicate(fd)?;
        self.call(py, |relay| relay.attach_vm(nic, fd.as_fd()))
    }

    fn attach_vm_tap(&self, py: Python<'_>, nic: u8, far: i32, near: i32) -> PyResult<()> {
        let (far, near) = (duplicate(far)?, duplicate(near)?);
        self.call(py, |relay| relay.attach_vm_tap(nic, far.as_fd(), near.as_fd()))
    }

    fn attach_uplink(&self, py: Python<'_>, nic: u8, fd: i32, kind: &str) -> PyResult<()> {
        let kind = match kind {
            "tap" => UplinkKind::Tap,
            "stream" => UplinkKind::Stream,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "an uplink is a tap or a stream, not {kind:?}"
                )));
            }
        };
        let fd = duplicate(fd)?;
        self.call(py, |relay| relay.attach_uplink(nic, fd.as_fd(), kind))
    }

    #[pyo3(signature = (fd, tls, peer, *, server))]
    fn attach_link(&self, py: Python<'_>, fd: i32, tls: &Tls, peer: &str, server: bool) -> PyResult<()> {
        let fd = duplicate(fd)?;
        self.call(py, |relay| relay.attach_link(fd.as_fd(), &tls.0, peer, server))
    }

    fn detach_link(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::detach_link)
    }

    fn send(&self, py: Python<'_>, payload: &[u8]) -> PyResult<()> {
        self.call(py, |relay| relay.send(payload.to_vec()))
    }

    fn progress(&self) {
        self.0.progress();
    }

    fn gate(&self, until_ns: u64) {
        self.0.gate(until_ns);
    }

    fn pause_ingress(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<bool> {
        self.call(py, |relay| relay.pause_ingress(Duration::from_millis(timeout_ms)))
    }

    fn cut(&self, py: Python<'_>, checkpoint: u64) -> PyResult<()> {
        self.call(py, |relay| relay.cut(checkpoint))
    }

    fn resume_ingress(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::resume_ingress)
    }

    fn send_pages(
        &self,
        py: Python<'_>,
        ram: &GuestRam,
        pages: &PageSet,
        encoder: &Encoder,
        lz4: &str,
    ) -> PyResult<()> {
        let lz4 = ram::lz4(lz4)?;
        self.call(py, |relay| {
            relay.send_bulk(colo_ram::LivePages::new(ram.0.clone(), &pages.0, &encoder.0, lz4))
        })
    }

    fn send_blank(&self, py: Python<'_>, pages: &PageSet, encoder: &Encoder) -> PyResult<()> {
        self.call(py, |relay| {
            relay.send_bulk(colo_ram::BlankPages::new(&pages.0, &encoder.0))
        })
    }

    fn send_state(
        &self,
        py: Python<'_>,
        checkpoint: u64,
        staging: &Staging,
        device: &[u8],
        encoder: &Encoder,
        lz4: &str,
    ) -> PyResult<()> {
        let lz4 = ram::lz4(lz4)?;
        self.call(py, |relay| {
            relay.send_bulk(staging.source(checkpoint, device.to_vec(), encoder, lz4))
        })
    }

    fn commit(&self, py: Python<'_>, checkpoint: u64) -> PyResult<()> {
        self.call(py, |relay| relay.commit(checkpoint))
    }

    fn commit_when(&self, py: Python<'_>, checkpoint: u64, payload: &[u8]) -> PyResult<()> {
        self.call(py, |relay| relay.commit_when(checkpoint, payload.to_vec()))
    }

    fn loaded(&self, py: Python<'_>, checkpoint: u64) -> PyResult<()> {
        self.call(py, |relay| relay.loaded(checkpoint))
    }

    fn watch_output(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.call(py, |relay| relay.watch_output(on))
    }

    fn alone(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::alone)
    }

    fn begin_secondary(&self, py: Python<'_>, replica: &Replica) -> PyResult<()> {
        self.call(py, |relay| relay.begin_secondary(Arc::clone(&replica.0)))
    }

    fn svm_stopped(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::svm_stopped)
    }

    fn enter_epoch(&self, py: Python<'_>, epoch: u64) -> PyResult<()> {
        self.call(py, |relay| relay.enter_epoch(epoch))
    }

    fn stored(&self, py: Python<'_>, checkpoint: u64) -> PyResult<()> {
        self.call(py, |relay| relay.stored(checkpoint))
    }

    fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::deliver)
    }

    fn forget_cut(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::forget_cut)
    }

    fn promote(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::promote)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, colo_relay::Relay::close)
    }

    fn inject(&self, py: Python<'_>, nic: u8, frame: &[u8]) -> PyResult<()> {
        self.call(py, |relay| relay.inject(nic, frame.to_vec()))
    }

    fn guest_addresses(&self, py: Python<'_>, nic: u8) -> PyResult<Vec<(String, String)>> {
        self.call(py, |relay| relay.guest_addresses(nic))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counted = PyDict::new(py);
        for (name, value) in self.call(py, colo_relay::Relay::stats)? {
            counted.set_item(name, value)?;
        }
        Ok(counted)
    }

    fn divergences<'py>(
        &self,
        py: Python<'py>,
        last: usize,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyList>)> {
        let (counts, kept) = self.call(py, |relay| relay.divergences(last))?;
        let by_kind = PyDict::new(py);
        for (kind, count) in counts {
            by_kind.set_item(kind.to_string(), count)?;
        }
        let kept: PyResult<Vec<_>> = kept
            .into_iter()
            .map(|divergence| divergence_to_tuple(py, divergence))
            .collect();
        Ok((by_kind, PyList::new(py, kept?)?))
    }

    fn capture(&self, py: Python<'_>, mib: usize) -> PyResult<()> {
        self.call(py, |relay| relay.capture(mib.saturating_mul(MIB)))
    }

    fn captured<'py>(&self, py: Python<'py>, comment: &str) -> PyResult<Bound<'py, PyBytes>> {
        let file = self.call(py, |relay| relay.captured(comment))?;
        Ok(PyBytes::new(py, &file))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}
