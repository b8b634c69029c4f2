//! The SenML packs (RFC 8428) that almost all devices send: records of `bn`, `bt`, `bu`, `n`, `u`, `v` and `t` in plain
//! ASCII without escapes. None for everything else, which gateway/preprocess then takes or refuses.

/// A text and where it begins in the payload.
#[derive(Clone, Copy, Default)]
pub struct Text<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

/// One record with its base fields resolved. Its name is the base name and the name, one behind the other.
pub struct Record<'a> {
    pub base: Text<'a>,
    pub name: Text<'a>,
    pub unit: Option<&'a [u8]>,
    pub value: f64,
    pub seconds: f64,
}

impl Record<'_> {
    pub fn is_of(&self, series: &[u8]) -> bool {
        series.strip_prefix(self.base.bytes) == Some(self.name.bytes)
    }
}

const MAX_RECORDS: usize = 16;
const MAX_NAME: usize = 255;
const MAX_UNIT: usize = 64;
const MAX_DIGITS: usize = 64;

struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

/// What a record says itself.
#[derive(Default)]
struct Sent<'a> {
    base_name: Option<Text<'a>>,
    base_time: Option<f64>,
    base_unit: Option<Text<'a>>,
    name: Option<Text<'a>>,
    unit: Option<Text<'a>>,
    value: Option<f64>,
    time: Option<f64>,
}

/// The base fields so far (section 4.1).
#[derive(Default)]
struct Base<'a> {
    name: Text<'a>,
    seconds: f64,
    unit: Option<&'a [u8]>,
}

/// All records of a pack, or of a lone object.
pub fn parse(payload: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut cursor = Cursor { data: payload, at: 0 };
    let (mut records, mut base) = (Vec::with_capacity(1), Base::default());
    if cursor.take(b'[') {
        for _ in 0..MAX_RECORDS {
            records.extend(base.resolve(cursor.record()?)?);
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.take(b']').then_some(())?;
    } else {
        records.extend(base.resolve(cursor.record()?)?);
    }
    cursor.blank();
    (cursor.at == payload.len()).then_some(records)
}

impl<'a> Base<'a> {
    /// The record with its base fields; Some(None) for one that has nothing but base fields.
    fn resolve(&mut self, sent: Sent<'a>) -> Option<Option<Record<'a>>> {
        self.name = sent.base_name.unwrap_or(self.name);
        self.seconds = sent.base_time.unwrap_or(self.seconds);
        self.unit = sent.base_unit.map(|unit| unit.bytes).or(self.unit);
        if sent.name.is_none() && sent.unit.is_none() && sent.value.is_none() && sent.time.is_none() {
            return (sent.base_name.is_some() || sent.base_time.is_some() || sent.base_unit.is_some()).then_some(None);
        }
        let name = sent.name.unwrap_or_default();
        Some(Some(Record {
            base: self.name,
            name: is_name(self.name.bytes, name.bytes).then_some(name)?,
            unit: sent.unit.map(|unit| unit.bytes).or(self.unit),
            value: sent.value?,
            seconds: self.seconds + sent.time.unwrap_or(0.0),
        }))
    }
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

    fn record(&mut self) -> Option<Sent<'a>> {
        let mut sent = Sent::default();
        self.take(b'{').then_some(())?;
        loop {
            let label = self.text()?.bytes;
            self.take(b':').then_some(())?;
            let twice = match label {
                b"bn" => sent.base_name.replace(self.short(MAX_NAME)?).is_some(),
                b"bt" => sent.base_time.replace(self.number()?).is_some(),
                b"bu" => sent.base_unit.replace(self.short(MAX_UNIT)?).is_some(),
                b"n" => sent.name.replace(self.short(MAX_NAME)?).is_some(),
                b"u" => sent.unit.replace(self.short(MAX_UNIT)?).is_some(),
                b"v" => sent.value.replace(self.number()?).is_some(),
                b"t" => sent.time.replace(self.number()?).is_some(),
                _ => return None,
            };
            if twice {
                return None;
            }
            if !self.take(b',') {
                break;
            }
        }
        self.take(b'}').then_some(sent)
    }

    fn short(&mut self, most: usize) -> Option<Text<'a>> {
        self.text().filter(|text| text.bytes.len() <= most)
    }

    /// A string of printable ASCII without escapes.
    fn text(&mut self) -> Option<Text<'a>> {
        self.take(b'"').then_some(())?;
        let start = self.at;
        let length = self.data[start..].iter().position(|byte| *byte == b'"')?;
        let found = &self.data[start..start + length];
        self.at = start + length + 1;
        found.iter().all(|b| matches!(b, 0x20..=0x7e) && *b != b'\\').then_some(Text { bytes: found, at: start })
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

/// RFC 8428 section 4.5.1, of the base name and the name together.
fn is_name(base: &[u8], name: &[u8]) -> bool {
    let mut bytes = base.iter().chain(name);
    let first = bytes.next().is_some_and(u8::is_ascii_alphanumeric);
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-:./_".contains(byte));
    first && rest && base.len() + name.len() <= MAX_NAME
}
