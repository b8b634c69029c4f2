//! The native core of Sealtrail's hot path: what Python does for each event and each hash, done for many at once and
//! without the interpreter's lock.
//!
//! Trust boundary: takes untrusted bytes, in safe Rust. It accepts only what is in plain form and returns None for all
//! else, which Python then judges, so that every refusal and its reason are written once, in Python.

mod cbor;
mod commitment;
mod merkle;
mod message;
mod mqtt;
mod reading;
mod seal;
mod senml;
mod stretch;

use std::io::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};

use flate2::write::ZlibEncoder;
use flate2::Compression;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use merkle::HASH;

const MANY: usize = 64; // worth giving the interpreter's lock away and waiting for it

/// RFC 9162 leaf hashes of many entries, concatenated.
#[pyfunction]
fn leaf_hashes<'py>(py: Python<'py>, entries: Vec<PyBackedBytes>) -> Bound<'py, PyBytes> {
    let work = || entries.iter().flat_map(|entry| merkle::leaf(entry)).collect::<Vec<u8>>();
    let hashes = if entries.len() < MANY { work() } else { py.detach(work) };
    PyBytes::new(py, &hashes)
}

/// RFC 9162 root over at least one leaf hash; `hashes` are concatenated.
#[pyfunction]
fn root<'py>(py: Python<'py>, hashes: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
    if hashes.is_empty() || hashes.len() % HASH != 0 {
        return Err(PyValueError::new_err("expected at least one hash, each of 32 bytes"));
    }
    let work = || merkle::root(hashes.to_vec());
    let root = if hashes.len() < MANY * HASH { work() } else { py.detach(work) };
    Ok(PyBytes::new(py, &root))
}

/// Payloads, joined packet identifiers, bytes of the payloads, and where the first packet begins that is not taken.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // one call a read of a socket
fn burst<'py>(
    py: Python<'py>,
    data: &[u8],
    pos: usize,
    topic: &[u8],
    v5: bool,
    most: usize,
    room: usize,
    limit: usize,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyBytes>, usize, usize)> {
    let found = mqtt::burst(data, pos, topic, v5, most, room, limit);
    let payloads = PyList::new(py, found.payloads.iter().map(|(start, end)| PyBytes::new(py, &data[*start..*end])))?;
    Ok((payloads, PyBytes::new(py, &found.identifiers), found.size, found.end))
}

/// A zlib stream (RFC 1950) of these bytes, quickly made.
#[pyfunction]
fn compress<'py>(py: Python<'py>, plain: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
    let work = || {
        let mut stream = ZlibEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::fast());
        stream.write_all(&plain)?;
        stream.finish()
    };
    Ok(PyBytes::new(py, &py.detach(work)?))
}

/// Of each (Ed25519 key, message, signature) whether it certainly holds, with `label` before the message.
#[pyfunction]
fn ed25519_holds(
    py: Python<'_>,
    signed: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes)>,
    label: &[u8],
) -> Vec<bool> {
    let all = || {
        let mut known: Option<(&[u8], Option<seal::Key>)> = None;
        let mut found = Vec::with_capacity(signed.len());
        for (raw, message, signature) in &signed {
            let (_, key) = match known.take().filter(|(before, _)| *before == &raw[..]) {
                Some(same) => known.insert(same),
                None => known.insert((raw, seal::Key::new(raw))),
            };
            found.push(key.as_ref().is_some_and(|key| key.holds(&[label, &[0], message].concat(), signature)));
        }
        found
    };
    py.detach(|| catch_unwind(AssertUnwindSafe(all))).unwrap_or(vec![false; signed.len()])
    // a fault costs speed only
}

#[pymodule]
fn sealtrail_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(leaf_hashes, module)?)?;
    module.add_function(wrap_pyfunction!(root, module)?)?;
    module.add_function(wrap_pyfunction!(burst, module)?)?;
    module.add_function(wrap_pyfunction!(compress, module)?)?;
    module.add_function(wrap_pyfunction!(ed25519_holds, module)?)?;
    module.add_class::<stretch::UnitTable>()?;
    module.add_class::<stretch::Opener>()?;
    module.add_class::<stretch::Stretch>()
}
