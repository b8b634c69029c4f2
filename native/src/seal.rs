//! Seals of a device (docs/formats/device.md): their form, and which signatures hold for certain. What is said not to
//! hold is for Python to judge.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::cbor::{Numbered, BYTES, MAX_NUMBER, TEXT};
use crate::merkle::HASH;

const MAX_SEAL: usize = 512;
const MAX_SEALED: u64 = 65_536;
const VERSION: u64 = 1;

pub struct Seal {
    pub boot: u64,
    pub first: u64,
    pub count: u64,
    pub root: [u8; HASH],
    pub previous: [u8; HASH],
    pub signed_us: u64,
    pub kid: [u8; HASH],
}

/// A seal in the name of `source`.
pub fn read_seal(data: &[u8], source: &[u8]) -> Option<Seal> {
    if data.len() > MAX_SEAL {
        return None;
    }
    let mut item = Numbered::new(data, 9)?;
    (item.number()? == VERSION).then_some(())?;
    (item.string(TEXT)? == source).then_some(())?;
    let (boot, first) = (item.number()?, item.number()?);
    let count = item.number().filter(|count| (1..=MAX_SEALED).contains(count) && first + count <= MAX_NUMBER)?;
    let root = item.string(BYTES)?.try_into().ok()?;
    let previous = item.string(BYTES)?.try_into().ok()?;
    let signed_us = item.number()?;
    let kid = item.string(BYTES)?.try_into().ok()?;
    item.end(Seal { boot, first, count, root, previous, signed_us, kid })
}

/// An Ed25519 key whose yes is everybody's. `verify_strict` computes R from the equation without cofactor, for S below
/// the group's order, and compares bytes, as RFC 8032 has it and OpenSSL does; it only refuses more: points of small
/// order. Of keys those that are not in their one encoding are left to Python.
pub struct Key(VerifyingKey);

impl Key {
    pub fn new(raw: &[u8]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(raw.try_into().ok()?).ok()?;
        (key.to_edwards().compress().as_bytes() == raw).then_some(Key(key))
    }

    /// Whether this is certainly the key's signature over the message.
    pub fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}
