//! Runs of PUBLISH packets as devices send them: QoS 1, one topic, no properties (MQTT 5.0 and 3.1.1 section 3.3).
//! The same as gateway/ingest/mqtt/burst.py.

const PUBLISH_QOS1: u8 = 0x32;
const DUP: u8 = 0x08;

/// The payloads of the packets from `pos` on, as places in `data`, their packet identifiers joined, and where the
/// first packet begins that is of another form, not whole, or one too many.
pub struct Burst {
    pub payloads: Vec<(usize, usize)>,
    pub identifiers: Vec<u8>,
    pub size: usize,
    pub end: usize,
}

/// At most `most` packets of at most `limit` bytes each, and none more once their payloads have `room` bytes.
pub fn burst(data: &[u8], pos: usize, topic: &[u8], v5: bool, most: usize, room: usize, limit: usize) -> Burst {
    let mut found = Burst { payloads: Vec::new(), identifiers: Vec::new(), size: 0, end: pos };
    while found.payloads.len() < most && found.size < room {
        let Some((identifier, payload, end)) = publish(data, found.end, topic, v5, limit) else { break };
        found.identifiers.extend(identifier);
        found.payloads.push((payload, end));
        found.size += end - payload;
        found.end = end;
    }
    found
}

fn publish(data: &[u8], pos: usize, topic: &[u8], v5: bool, limit: usize) -> Option<([u8; 2], usize, usize)> {
    if data.get(pos)? & !DUP != PUBLISH_QOS1 {
        return None;
    }
    let (body, end) = frame(data, pos, limit)?;
    let packet = data.get(body..end)?;
    let rest = packet.strip_prefix(topic)?;
    let identifier: [u8; 2] = rest.get(..2)?.try_into().ok()?;
    let properties = usize::from(v5);
    if identifier == [0, 0] || (v5 && *rest.get(2)? != 0) {
        return None;
    }
    Some((identifier, body + topic.len() + 2 + properties, end))
}

/// Where the body begins and ends; None while the length is not there, too long or not in its shortest form.
fn frame(data: &[u8], pos: usize, limit: usize) -> Option<(usize, usize)> {
    let mut length = 0usize;
    for at in 0..4 {
        let byte = *data.get(pos + 1 + at)?;
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            let body = pos + 2 + at;
            let shortest = byte != 0 || at == 0;
            return (shortest && body + length - pos <= limit).then_some((body, body + length));
        }
    }
    None
}
