//! The few forms of canonical CBOR (RFC 8949 section 4.2) that events and records are made of: unsigned integers,
//! byte strings, texts, lists and maps of definite length, and floats. A reader returns None for any other form.

/// Major types.
pub const UINT: u8 = 0;
pub const BYTES: u8 = 2;
pub const TEXT: u8 = 3;
pub const LIST: u8 = 4;
pub const MAP: u8 = 5;

pub const MAX_NUMBER: u64 = i64::MAX as u64;

/// Reads untrusted bytes from the front.
pub struct Reader<'a> {
    pub data: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Reader { data, at: 0 }
    }

    /// The argument of an item of this major type, in its shortest form.
    pub fn head(&mut self, major: u8) -> Option<u64> {
        let first = *self.data.get(self.at)?;
        if first >> 5 != major {
            return None;
        }
        let extra = match first & 0x1f {
            small @ 0..=23 => {
                self.at += 1;
                return Some(u64::from(small));
            }
            code @ 24..=27 => 1usize << (code - 24),
            _ => return None,
        };
        let bytes = self.data.get(self.at + 1..self.at + 1 + extra)?;
        let value = bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let least = [24, 0x100, 0x1_0000, 0x1_0000_0000][extra.trailing_zeros() as usize];
        if value < least {
            return None;
        }
        self.at += 1 + extra;
        Some(value)
    }

    /// An integer from 0 to 2^63 − 1.
    pub fn number(&mut self) -> Option<u64> {
        self.head(UINT).filter(|value| *value <= MAX_NUMBER)
    }

    /// A byte string or a text (its bytes, not checked to be UTF-8).
    pub fn string(&mut self, major: u8) -> Option<&'a [u8]> {
        let length = usize::try_from(self.head(major)?).ok()?;
        let found = self.data.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(found)
    }

    pub fn ended(&self) -> bool {
        self.at == self.data.len()
    }
}

/// The values of a map whose keys are 1, 2, 3 …, in order.
pub struct Numbered<'a> {
    reader: Reader<'a>,
    key: u64,
}

impl<'a> Numbered<'a> {
    pub fn new(data: &'a [u8], count: u64) -> Option<Self> {
        let mut reader = Reader::new(data);
        (reader.head(MAP)? == count).then_some(Numbered { reader, key: 0 })
    }

    fn next(&mut self) -> Option<&mut Reader<'a>> {
        self.key += 1;
        (self.reader.head(UINT)? == self.key).then_some(&mut self.reader)
    }

    pub fn number(&mut self) -> Option<u64> {
        self.next()?.number()
    }

    pub fn string(&mut self, major: u8) -> Option<&'a [u8]> {
        self.next()?.string(major)
    }

    /// `value`, where nothing comes behind.
    pub fn end<T>(self, value: T) -> Option<T> {
        self.reader.ended().then_some(value)
    }
}

/// Appends a head in its shortest form.
pub fn put_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let kind = major << 5;
    match value {
        0..=23 => out.push(kind | value as u8),
        24..=0xff => out.extend([kind | 24, value as u8]),
        0x100..=0xffff => {
            out.push(kind | 25);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(kind | 26);
            out.extend((value as u32).to_be_bytes());
        }
        _ => {
            out.push(kind | 27);
            out.extend(value.to_be_bytes());
        }
    }
}

pub fn put_string(out: &mut Vec<u8>, major: u8, bytes: &[u8]) {
    put_head(out, major, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a finite float in the shortest form that keeps its value.
pub fn put_float(out: &mut Vec<u8>, value: f64) {
    let single = value as f32;
    if f64::from(single) != value {
        out.push(0xfb);
        out.extend(value.to_be_bytes());
    } else if let Some(half) = half_of(single) {
        out.push(0xf9);
        out.extend(half.to_be_bytes());
    } else {
        out.push(0xfa);
        out.extend(single.to_be_bytes());
    }
}

/// The half-precision bits of a value that half precision holds exactly (RFC 8949 appendix D).
fn half_of(value: f32) -> Option<u16> {
    let bits = value.to_bits();
    let (sign, exponent, mantissa) = ((bits >> 16 & 0x8000) as u16, (bits >> 23 & 0xff) as i32 - 127, bits & 0x7f_ffff);
    if bits << 1 == 0 {
        return Some(sign);
    }
    match exponent {
        -14..=15 if mantissa & 0x1fff == 0 => Some(sign | ((exponent + 15) as u16) << 10 | (mantissa >> 13) as u16),
        -24..=-15 => {
            let (whole, shift) = (mantissa | 0x80_0000, (-exponent - 1) as u32);
            (whole.trailing_zeros() >= shift).then(|| sign | (whole >> shift) as u16)
        }
        _ => None,
    }
}
