//! Messages of a device (docs/formats/device.md): their form only. None for whatever Python has to judge.

use crate::cbor::{Numbered, Reader, BYTES, LIST, TEXT};

const MAX_MESSAGE: usize = 256 * 1024;
const MAX_EVENTS: u64 = 1024;
const MAX_EVENT: usize = 60_256;
const MAX_PAYLOAD: usize = 60_000;
const VERSION: u64 = 1;
const READING: u64 = 1;
const SCHEMA: u64 = 1;
const BLIND: usize = 16;

/// Events and seals as sent: each event with where it begins in the message, each seal with its signature.
pub struct Message<'a> {
    pub events: Vec<(usize, &'a [u8])>,
    pub seals: Vec<(&'a [u8], &'a [u8])>,
}

/// A reading's envelope. `payload_at` is where the payload begins in the event.
pub struct Event<'a> {
    pub boot: u64,
    pub seq: u64,
    pub sensed_us: u64,
    pub payload: &'a [u8],
    pub payload_at: usize,
}

pub fn read_message(data: &[u8]) -> Option<Message<'_>> {
    if data.len() > MAX_MESSAGE {
        return None;
    }
    let mut reader = Reader::new(data);
    (reader.head(LIST)? == 3 && reader.number()? == VERSION).then_some(())?;
    let count = reader.head(LIST).filter(|count| *count <= MAX_EVENTS)?;
    let mut events = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let event = reader.string(BYTES)?;
        events.push((reader.at - event.len(), event));
    }
    let count = reader.head(LIST).filter(|count| *count <= MAX_EVENTS)?;
    let mut seals = Vec::with_capacity(count as usize);
    for _ in 0..count {
        (reader.head(LIST)? == 2).then_some(())?;
        seals.push((reader.string(BYTES)?, reader.string(BYTES)?));
    }
    (reader.ended() && !(events.is_empty() && seals.is_empty())).then_some(Message { events, seals })
}

/// A reading in the name of `source`.
pub fn read_event<'a>(data: &'a [u8], source: &[u8]) -> Option<Event<'a>> {
    if data.len() > MAX_EVENT {
        return None;
    }
    let mut item = Numbered::new(data, 9)?;
    (item.number()? == VERSION).then_some(())?;
    (item.string(TEXT)? == source).then_some(())?;
    let (boot, seq) = (item.number()?, item.number()?);
    (item.number()? == READING && item.number()? == SCHEMA).then_some(())?;
    let sensed_us = item.number()?;
    (item.string(BYTES)?.len() == BLIND).then_some(())?;
    let payload = item.string(BYTES).filter(|payload| payload.len() <= MAX_PAYLOAD)?;
    let payload_at = data.len() - payload.len();
    item.end(Event { boot, seq, sensed_us, payload, payload_at })
}
