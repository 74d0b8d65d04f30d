//! Events as the tuples that `_core.pyi` lists.

use colo_relay::{Divergence, Event};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{Bound, IntoPyObjectExt};
use std::collections::BTreeMap;

pub(crate) fn to_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    match event {
        Event::LinkUp { peer } => ("link_up", peer).into_bound_py_any(py),
        Event::LinkDown { reason } => ("link_down", reason).into_bound_py_any(py),
        Event::Control(payload) => ("control", PyBytes::new(py, &payload)).into_bound_py_any(py),
        Event::Silent { ms } => ("silent", ms).into_bound_py_any(py),
        Event::Stalled { ms } => ("stalled", ms).into_bound_py_any(py),
        Event::Divergence {
            nic,
            flow,
            kind,
            detail,
            ms,
            epoch,
        } => ("divergence", nic, flow, kind, detail, ms, epoch).into_bound_py_any(py),
        Event::HoldLimit { nic, flow, ms, epoch } => {
            ("hold_limit", nic, flow, ms, epoch).into_bound_py_any(py)
        }
        Event::Output { epoch, only_acks } => ("output", epoch, only_acks).into_bound_py_any(py),
        Event::QueueLimit { bytes } => ("queue_limit", bytes).into_bound_py_any(py),
        Event::Sent { checkpoint, tally } => {
            let counted: BTreeMap<_, _> = tally.entries().into();
            ("sent", checkpoint, counted).into_bound_py_any(py)
        }
        Event::StateComplete {
            checkpoint,
            pages,
            bytes,
        } => ("state_complete", checkpoint, pages, bytes).into_bound_py_any(py),
        Event::StateDamaged { checkpoint, why } => ("state_damaged", checkpoint, why).into_bound_py_any(py),
        Event::VmClosed { nic } => ("vm_closed", nic).into_bound_py_any(py),
        Event::UplinkClosed { nic } => ("uplink_closed", nic).into_bound_py_any(py),
        Event::GateClosed => ("gate_closed",).into_bound_py_any(py),
        Event::Fatal { why } => ("fatal", why).into_bound_py_any(py),
    }
}

pub(crate) fn divergence_to_tuple(py: Python<'_>, divergence: Divergence) -> PyResult<Bound<'_, PyAny>> {
    let Divergence {
        nic,
        flow,
        kind,
        epoch,
        at,
        held_ns,
        offset,
        primary,
        secondary,
        detail,
    } = divergence;
    let [primary, secondary] = [primary, secondary].map(|bytes| PyBytes::new(py, &bytes));
    let (flow, kind) = (flow.to_string(), kind.to_string());
    (
        nic, flow, kind, epoch, at, held_ns, offset, primary, secondary, detail,
    )
        .into_bound_py_any(py)
}
