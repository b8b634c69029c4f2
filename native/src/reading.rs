//! Readings in their normal form, as gateway/preprocess/reading.py defines it: rows of [name, value, unit, time,
//! sent value, sent unit], and the flags of the record.

use std::collections::HashMap;

use crate::cbor::{put_float, put_head, put_string, LIST, TEXT, UINT};
use crate::senml::{parse, Record};

pub const SUSPECT: u8 = 1;
const OUTSIDE: u8 = 2 | 8; // out of range, and urgent
pub const LATE: u8 = 4;
const NULL: u8 = 0xf6;
const MAX_SECONDS: f64 = 253_402_300_800.0;
const ABSOLUTE_FROM: f64 = 268_435_456.0; // 2^28 s: smaller times are relative to the event's
const FUTURE_US: u64 = 3_600_000_000;

/// A unit that needs no conversion.
pub struct Unit {
    pub base: String,
    pub low: f64,
    pub high: f64,
}

/// The normal range of a series, or of every series where `series` is empty.
pub struct Limit {
    pub series: String,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub unit: String,
}

/// Every name of a unit; None for those that need a conversion, which is left to Python.
pub type Units = HashMap<Vec<u8>, Option<Unit>>;

/// Rows as CBOR; where in them a name stands that also stands in the payload; flags; the newest time.
pub struct Normal {
    pub rows: Vec<u8>,
    pub names: Vec<Name>,
    pub flags: u8,
    pub newest_us: u64,
}

pub struct Name {
    pub in_rows: usize,
    pub in_payload: usize,
    pub length: usize,
}

/// None where Python has to judge.
pub fn normalise(payload: &[u8], sensed_us: u64, received_us: u64, units: &Units, limits: &[Limit]) -> Option<Normal> {
    let records = parse(payload)?;
    let mut timed = Vec::with_capacity(records.len());
    for record in &records {
        timed.push((time_us(record.seconds, sensed_us)?, record));
    }
    timed.sort_by_key(|(time, _)| *time);
    let newest_us = timed.last()?.0;
    let mut normal = Normal { rows: Vec::with_capacity(64 + payload.len()), names: Vec::new(), flags: 0, newest_us };
    put_head(&mut normal.rows, LIST, timed.len() as u64);
    for (time, record) in timed {
        put_row(&mut normal, record, time, units, limits)?;
    }
    if newest_us > received_us + FUTURE_US {
        normal.flags |= SUSPECT;
    }
    Some(normal)
}

fn time_us(seconds: f64, sensed_us: u64) -> Option<u64> {
    if !(-MAX_SECONDS < seconds && seconds < MAX_SECONDS) {
        return None;
    }
    let mut time = (seconds * 1e6).round_ties_even() as i64;
    if seconds < ABSOLUTE_FROM {
        time = time.checked_add(i64::try_from(sensed_us).ok()?)?;
    }
    u64::try_from(time).ok()
}

fn put_row(normal: &mut Normal, record: &Record, time: u64, units: &Units, limits: &[Limit]) -> Option<()> {
    let value = record.value;
    let mut base = record.unit;
    if let Some(sent) = record.unit {
        match units.get(sent) {
            None => normal.flags |= SUSPECT,
            Some(None) => return None,
            Some(Some(unit)) => {
                base = Some(unit.base.as_bytes());
                if !(unit.low <= value && value <= unit.high) {
                    normal.flags |= SUSPECT;
                }
            }
        }
    }
    normal.flags |= excursion(record, base, limits);
    let rows = &mut normal.rows;
    put_head(rows, LIST, 6);
    put_head(rows, TEXT, (record.base.bytes.len() + record.name.bytes.len()) as u64);
    for part in [record.base, record.name] {
        normal.names.push(Name { in_rows: rows.len(), in_payload: part.at, length: part.bytes.len() });
        rows.extend_from_slice(part.bytes);
    }
    put_float(rows, value);
    put_unit(rows, base);
    put_head(rows, UINT, time);
    put_float(rows, value);
    put_unit(rows, record.unit);
    Some(())
}

fn put_unit(rows: &mut Vec<u8>, unit: Option<&[u8]>) {
    match unit {
        Some(name) => put_string(rows, TEXT, name),
        None => rows.push(NULL),
    }
}

/// By the first limit whose unit and series both fit.
fn excursion(record: &Record, unit: Option<&[u8]>, limits: &[Limit]) -> u8 {
    let fits = |limit: &&Limit| {
        let series = limit.series.as_bytes();
        unit == Some(limit.unit.as_bytes()) && (series.is_empty() || record.is_of(series))
    };
    let value = record.value;
    match limits.iter().find(fits) {
        Some(limit) if limit.low.is_some_and(|low| value < low) || limit.high.is_some_and(|high| value > high) => {
            OUTSIDE
        }
        _ => 0,
    }
}
