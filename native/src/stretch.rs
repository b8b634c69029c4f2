//! A stretch: events of one source with consecutive numbers, on their way into the log. The same interface as
//! gateway/pipeline/stretch.py, which explains it; a test holds both against each other.

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use crate::cbor::{put_head, put_string, BYTES, LIST, MAP, TEXT, UINT};
use crate::commitment::{Committer, PATH};
use crate::merkle::{leaf, root, HASH};
use crate::message::{read_event, read_message};
use crate::reading::{normalise, Limit, Name, Normal, Unit, Units, LATE, SUSPECT};
use crate::seal::{read_seal, Seal};

const MAX_EVENTS: usize = 1024;
const MAX_BYTES: usize = 512 * 1024;
const FUTURE_TOLERANCE_US: u64 = 60_000_000;
const SHORTEST_CUT: usize = 12; // a reference into the event costs up to as many bytes
const WORTH_UNLOCKING: usize = 16 * 1024;
const READING: u64 = 1;
const VERSION: u64 = 1;

struct Came {
    payload: PyBackedBytes,
    received_us: u64,
}

/// Where an event was found.
struct Place {
    message: usize,
    start: usize,
    received_us: u64,
}

struct Held {
    message: usize,
    start: usize,
    end: usize,
    payload_at: usize,
    hash: [u8; HASH],
    flags: u8,
    sensed_us: u64,
    authentication: u8,
    rows: Vec<u8>,
    names: Vec<Name>,
}

struct Sealed {
    message: usize,
    bytes: Vec<u8>,
    signature: Vec<u8>,
    seal: Option<Seal>,
    covers: bool,
}

/// Boot, first, count, root, previous, time of signing, kid.
type Parts<'py> = (u64, u64, u64, Bytes<'py>, Bytes<'py>, u64, Bytes<'py>);
type Bytes<'py> = Bound<'py, PyBytes>;
type LimitRow = (String, Option<f64>, Option<f64>, String);

/// Every unit of the gateway; made once.
#[pyclass(frozen)]
pub struct UnitTable(Units);

#[pymethods]
impl UnitTable {
    /// Rows of (name, base, low, high), base None where the unit needs a conversion.
    #[new]
    fn new(rows: Vec<(String, Option<String>, f64, f64)>) -> Self {
        let unit = |base: Option<String>, low, high| base.map(|base| Unit { base, low, high });
        UnitTable(rows.into_iter().map(|(name, base, low, high)| (name.into_bytes(), unit(base, low, high))).collect())
    }
}

/// Opens the messages of one source.
#[pyclass(frozen)]
pub struct Opener {
    source: Vec<u8>,
    units: Py<UnitTable>,
    limits: Vec<Limit>,
    late_after_us: u64,
}

#[pymethods]
impl Opener {
    #[new]
    fn new(source: String, units: Py<UnitTable>, limits: Vec<LimitRow>, late_after_us: u64) -> Self {
        let limits = limits.into_iter().map(|(series, low, high, unit)| Limit { series, low, high, unit }).collect();
        Opener { source: source.into_bytes(), units, limits, late_after_us }
    }

    /// The longest stretch that the messages from `start` on are in plain form, or None.
    fn open(
        &self,
        py: Python<'_>,
        payloads: &Bound<'_, PyList>,
        start: usize,
        received_us: &Bound<'_, PyList>,
        authentication: u8,
    ) -> PyResult<Option<Stretch>> {
        let most = payloads.len().min(start + MAX_EVENTS);
        let mut messages = Vec::with_capacity(most - start.min(most));
        for at in start..most {
            messages.push(Came {
                payload: payloads.get_item(at)?.extract()?,
                received_us: received_us.get_item(at)?.extract()?,
            });
        }
        let units = &self.units.get().0;
        let size = messages.iter().map(|came: &Came| came.payload.len()).sum();
        let taken = guarded(py, size, || self.take(messages, units, authentication));
        let taken = taken.unwrap_or(None); // a fault here costs speed only
        Ok(taken.map(|mut stretch| {
            let hashes: Vec<u8> = stretch.held.iter().flat_map(|held| held.hash).collect();
            stretch.hashes = Some(PyBytes::new(py, &hashes).unbind());
            stretch
        }))
    }
}

impl Opener {
    fn take(&self, messages: Vec<Came>, units: &Units, authentication: u8) -> Option<Stretch> {
        let mut stretch = Stretch {
            source: self.source.clone(),
            boot: 0,
            first: 0,
            size: 0,
            kept: Vec::new(),
            held: Vec::with_capacity(messages.len()),
            seals: Vec::new(),
            messages: 0,
            hashes: None,
        };
        for (number, came) in messages.iter().enumerate() {
            let before = stretch.held.len();
            if self.add(&mut stretch, number, came, units, authentication).is_none() {
                stretch.held.truncate(before);
                break;
            }
            stretch.messages = number + 1;
        }
        stretch.look_at_seals();
        stretch.kept = messages;
        stretch.kept.truncate(stretch.messages);
        (!stretch.held.is_empty()).then_some(stretch)
    }

    /// None where this message does not belong to the stretch; events that it added are to be taken back.
    fn add(&self, stretch: &mut Stretch, number: usize, came: &Came, units: &Units, authentication: u8) -> Option<()> {
        let message = read_message(&came.payload)?;
        let size: usize = message.events.iter().map(|(_, event)| event.len()).sum();
        let full = stretch.held.len() + message.events.len() > MAX_EVENTS || stretch.size + size > MAX_BYTES;
        if full && !stretch.held.is_empty() {
            return None;
        }
        for (start, raw) in &message.events {
            let place = Place { message: number, start: *start, received_us: came.received_us };
            let held = self.held(stretch, place, raw, units, authentication)?;
            stretch.held.push(held);
        }
        stretch.size += size;
        for (bytes, signature) in message.seals {
            let seal = read_seal(bytes, &self.source);
            let (bytes, signature) = (bytes.to_vec(), signature.to_vec());
            stretch.seals.push(Sealed { message: number, bytes, signature, seal, covers: false });
        }
        Some(())
    }

    fn held(&self, stretch: &mut Stretch, place: Place, raw: &[u8], units: &Units, authentication: u8) -> Option<Held> {
        let event = read_event(raw, &self.source)?;
        if stretch.held.is_empty() {
            (stretch.boot, stretch.first) = (event.boot, event.seq);
        }
        let follows = event.boot == stretch.boot && event.seq == stretch.first + stretch.held.len() as u64;
        let Place { message, start, received_us } = place;
        let Normal { rows, names, mut flags, newest_us } =
            normalise(event.payload, event.sensed_us, received_us, units, &self.limits).filter(|_| follows)?;
        if received_us.saturating_sub(event.sensed_us) > self.late_after_us {
            flags |= LATE;
        } else if event.sensed_us.saturating_sub(received_us) > FUTURE_TOLERANCE_US {
            flags |= SUSPECT;
        }
        let (end, payload_at, hash) = (start + raw.len(), event.payload_at, leaf(raw));
        Some(Held { message, start, end, payload_at, hash, flags, sensed_us: newest_us, authentication, rows, names })
    }
}

#[pyclass]
pub struct Stretch {
    source: Vec<u8>,
    #[pyo3(get)]
    boot: u64,
    #[pyo3(get)]
    first: u64,
    /// Bytes of the events together.
    #[pyo3(get)]
    size: usize,
    /// How many messages were taken.
    #[pyo3(get)]
    messages: usize,
    seals: Vec<Sealed>,
    /// Content hashes, joined.
    #[pyo3(get)]
    hashes: Option<Py<PyBytes>>,
    kept: Vec<Came>,
    held: Vec<Held>,
}

#[pymethods]
impl Stretch {
    #[getter]
    fn count(&self) -> usize {
        self.held.len()
    }

    #[getter]
    fn flags<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.held.iter().map(|held| held.flags).collect::<Vec<u8>>())
    }

    /// (number of the message, seal, signature, what the seal says, whether it covers events of this stretch and
    /// nothing else) of each. None in the fourth place, and no in the last, where Python has to look.
    #[allow(clippy::type_complexity)] // a row
    #[getter]
    fn seals<'py>(&self, py: Python<'py>) -> Vec<(usize, Bytes<'py>, Bytes<'py>, Option<Parts<'py>>, bool)> {
        let bytes = |data: &[u8]| PyBytes::new(py, data);
        let parts =
            |s: &Seal| (s.boot, s.first, s.count, bytes(&s.root), bytes(&s.previous), s.signed_us, bytes(&s.kid));
        let row = |s: &Sealed| (s.message, bytes(&s.bytes), bytes(&s.signature), s.seal.as_ref().map(parts), s.covers);
        self.seals.iter().map(row).collect()
    }

    fn authenticate(&mut self, first: u64, count: u64, authentication: u8) {
        let start = first.saturating_sub(self.first) as usize;
        let end = (first + count).saturating_sub(self.first) as usize;
        for held in self.held.iter_mut().take(end).skip(start) {
            held.authentication = authentication;
        }
    }

    fn leaves<'py>(&self, py: Python<'py>, seed: &[u8], logged_us: u64) -> PyResult<Bound<'py, PyList>> {
        let seed: &[u8; HASH] = seed.try_into().map_err(|_| PyValueError::new_err("a seed has 32 bytes"))?;
        let made = guarded(py, self.size, || {
            let mut committer = Committer::new(seed, &self.source);
            let record = |(at, held): (usize, &Held)| self.record(&mut committer, at as u64, held, logged_us);
            self.held.iter().enumerate().map(record).collect::<Vec<_>>()
        })?;
        PyList::new(py, made.iter().map(|leaf| PyBytes::new(py, leaf)))
    }

    fn stored<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let made = guarded(py, self.size, || {
            let mut out = Vec::with_capacity(self.size + 96 * self.held.len());
            self.held.iter().for_each(|held| self.put_stored(&mut out, held));
            out
        })?;
        Ok(PyBytes::new(py, &made))
    }
}

/// Work on `size` bytes; a fault becomes an exception that the committer catches. Much is done without the
/// interpreter's lock; for little, getting the lock back would cost more than the work.
fn guarded<T: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let caught = || catch_unwind(AssertUnwindSafe(work));
    let done = if size < WORTH_UNLOCKING { caught() } else { py.detach(caught) };
    done.map_err(|_| PyRuntimeError::new_err("a fault of the native core; see its message on standard error"))
}

impl Stretch {
    /// Which seals cover what is here. In order only, so that each event is hashed once, whatever a message says.
    fn look_at_seals(&mut self) {
        let mut from = self.first;
        for sealed in &mut self.seals {
            let Some(seal) = sealed.seal.as_ref() else { continue };
            let end = seal.first + seal.count;
            if seal.boot != self.boot || seal.first < from || end > self.first + self.held.len() as u64 {
                continue;
            }
            let (start, stop) = ((seal.first - self.first) as usize, (end - self.first) as usize);
            let hashes = self.held[start..stop].iter().flat_map(|held| held.hash).collect();
            sealed.covers = root(hashes) == seal.root;
            from = end;
        }
    }

    fn record(&self, committer: &mut Committer, at: u64, held: &Held, logged_us: u64) -> Vec<u8> {
        let seq = self.first + at;
        let mut out = Vec::with_capacity(192);
        put_head(&mut out, MAP, 12);
        let number = |out: &mut Vec<u8>, key: u64, value: u64| {
            put_head(out, UINT, key);
            put_head(out, UINT, value);
        };
        number(&mut out, 1, VERSION);
        number(&mut out, 2, READING);
        put_head(&mut out, UINT, 3);
        put_string(&mut out, TEXT, &self.source);
        number(&mut out, 4, self.boot);
        number(&mut out, 5, seq);
        number(&mut out, 6, held.sensed_us);
        number(&mut out, 7, self.kept[held.message].received_us);
        number(&mut out, 8, logged_us);
        number(&mut out, 9, held.authentication.into());
        number(&mut out, 10, held.flags.into());
        put_head(&mut out, UINT, 11);
        put_string(&mut out, BYTES, &held.hash);
        put_head(&mut out, UINT, 12);
        put_string(&mut out, BYTES, &committer.root(self.boot, seq, &held.rows));
        out
    }

    /// [event, part …]: the parts make the fields; a pair of numbers is a reference into the event.
    fn put_stored(&self, out: &mut Vec<u8>, held: &Held) {
        let mut fields = vec![0x81, 0x82];
        put_string(&mut fields, TEXT, PATH);
        let shift = fields.len();
        fields.extend_from_slice(&held.rows);
        let cuts: Vec<&Name> = held.names.iter().filter(|name| name.length >= SHORTEST_CUT).collect();
        put_head(out, LIST, 2 + 2 * cuts.len() as u64);
        put_string(out, BYTES, &self.kept[held.message].payload[held.start..held.end]);
        let mut at = 0;
        for cut in cuts {
            put_string(out, BYTES, &fields[at..shift + cut.in_rows]);
            put_head(out, LIST, 2);
            put_head(out, UINT, (held.payload_at + cut.in_payload) as u64);
            put_head(out, UINT, cut.length as u64);
            at = shift + cut.in_rows + cut.length;
        }
        put_string(out, BYTES, &fields[at..]);
    }
}
