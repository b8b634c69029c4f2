//! The SenML packs (RFC 8428) that almost all devices send: records of `n`, `u`, `v` and `t` in plain ASCII without
//! escapes. None for everything else, which gateway/preprocess then takes or refuses.

/// One record as sent. `name_at` is where the name stands in the payload.
pub struct Record<'a> {
    pub name: &'a [u8],
    pub name_at: usize,
    pub unit: Option<&'a [u8]>,
    pub value: f64,
    pub seconds: f64,
}

const MAX_RECORDS: usize = 16;
const MAX_NAME: usize = 255;
const MAX_UNIT: usize = 64;
const MAX_DIGITS: usize = 64;

struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

/// All records of a pack, or of a lone object.
pub fn parse(payload: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut cursor = Cursor { data: payload, at: 0 };
    let mut records = Vec::with_capacity(1);
    if cursor.take(b'[') {
        loop {
            records.push(cursor.record()?);
            if records.len() > MAX_RECORDS {
                return None;
            }
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.take(b']').then_some(())?;
    } else {
        records.push(cursor.record()?);
    }
    cursor.blank();
    (cursor.at == payload.len()).then_some(records)
}

impl<'a> Cursor<'a> {
    fn blank(&mut self) {
        while matches!(self.data.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.data.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let (mut name, mut unit, mut value, mut seconds) = (None, None, None, None);
        self.take(b'{').then_some(())?;
        loop {
            let label = self.text()?.0;
            self.take(b':').then_some(())?;
            let known_before = match label {
                b"n" => name.replace(self.text()?).is_some(),
                b"u" => unit.replace(self.text()?.0).is_some(),
                b"v" => value.replace(self.number()?).is_some(),
                b"t" => seconds.replace(self.number()?).is_some(),
                _ => return None,
            };
            if known_before {
                return None;
            }
            if !self.take(b',') {
                break;
            }
        }
        self.take(b'}').then_some(())?;
        let (name, name_at) = name.filter(|(name, _)| is_name(name))?;
        let unit = if unit.is_some_and(|unit| unit.len() > MAX_UNIT) { return None } else { unit };
        Some(Record { name, name_at, unit, value: value?, seconds: seconds.unwrap_or(0.0) })
    }

    /// A string of printable ASCII without escapes, and where it begins.
    fn text(&mut self) -> Option<(&'a [u8], usize)> {
        self.take(b'"').then_some(())?;
        let start = self.at;
        let length = self.data[start..].iter().position(|byte| *byte == b'"')?;
        let found = &self.data[start..start + length];
        self.at = start + length + 1;
        found.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'\\').then_some((found, start))
    }

    /// A number of the JSON grammar, as the nearest double. Minus zero is left to the others.
    fn number(&mut self) -> Option<f64> {
        self.blank();
        let start = self.at;
        let negative = self.step(b"-");
        if !self.step(b"0") && self.digits() == 0 {
            return None;
        }
        if self.step(b".") && self.digits() == 0 {
            return None;
        }
        if self.step(b"eE") {
            self.step(b"+-");
            if self.digits() == 0 {
                return None;
            }
        }
        let text = &self.data[start..self.at];
        let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (text.len() <= MAX_DIGITS && value.is_finite() && !(negative && value == 0.0)).then_some(value)
    }

    fn step(&mut self, any: &[u8]) -> bool {
        let found = self.data.get(self.at).is_some_and(|byte| any.contains(byte));
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.data.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }
}

/// RFC 8428 section 4.5.1.
fn is_name(name: &[u8]) -> bool {
    let first = name.first().is_some_and(u8::is_ascii_alphanumeric);
    first && name.len() <= MAX_NAME && name.iter().all(|b| b.is_ascii_alphanumeric() || b"-:./_".contains(b))
}
