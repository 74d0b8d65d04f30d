//! Which Python exception an error becomes.

use colo_link::TlsError;
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use std::io;

create_exception!(colo._core, TrackingLostError, PyRuntimeError);
create_exception!(colo._core, StagingLimitError, PyRuntimeError);

/// `OSError` with errno where there is one, so that Python picks the subclass.
fn os_error(what: &str, error: &io::Error) -> PyErr {
    let text = format!("{what}: {error}");
    match error.raw_os_error() {
        Some(errno) => PyOSError::new_err((errno, text)),
        None => PyOSError::new_err(text),
    }
}

pub(crate) fn from_ram(error: colo_ram::Error) -> PyErr {
    use colo_ram::Error;
    let text = error.to_string();
    match &error {
        Error::Io { what, source } => os_error(what, source),
        Error::Shim(source) => os_error("the VM's process could not create a userfaultfd", source),
        Error::Handover(_) => PyOSError::new_err(text),
        Error::TrackingLost(_) => TrackingLostError::new_err(text),
        Error::StagingLimit { .. } => StagingLimitError::new_err(text),
        Error::StagingBusy | Error::NotReady { .. } | Error::Layout { .. } => PyRuntimeError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

pub(crate) fn from_relay(error: colo_relay::Error) -> PyErr {
    use colo_relay::Error;
    let text = error.to_string();
    match &error {
        Error::Timeout(_) => PyTimeoutError::new_err(text),
        Error::NoSuchNic { .. } | Error::TooLong { .. } => PyValueError::new_err(text),
        Error::Os { what, source } => os_error(what, source),
        Error::Tls(_) => PyValueError::new_err(text),
        Error::Stopped | Error::Busy | Error::Refused(_) => PyRuntimeError::new_err(text),
    }
}

pub(crate) fn from_tls(error: TlsError) -> PyErr {
    match &error {
        TlsError::Unreadable { path, error } => os_error(&path.display().to_string(), error),
        other => PyValueError::new_err(other.to_string()),
    }
}
