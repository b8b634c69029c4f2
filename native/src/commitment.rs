//! The salted commitment to the one field of a reading (crypto/commitments.py, docs/formats/record.md).

use sha2::{Digest, Sha256};

use crate::cbor::{put_head, put_string, LIST, TEXT, UINT};
use crate::merkle::{leaf, HASH};

const BLOCK: usize = 64;
const SALT: &[u8] = b"sealtrail/salt/v1";
const COMMITMENT: &[u8] = b"sealtrail/commitment/v1";
pub const PATH: &[u8] = b"reading";

/// HMAC-SHA256 (RFC 2104) under a key of 32 bytes, its first blocks hashed once.
struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    fn new(key: &[u8; HASH]) -> Self {
        let pad = |with: u8| {
            let mut block = [with; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            Sha256::new().chain_update(block)
        };
        Hmac { inner: pad(0x36), outer: pad(0x5c) }
    }

    fn of(&self, message: &[u8]) -> [u8; HASH] {
        let inner = self.inner.clone().chain_update(message).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

/// Commits to readings of one source under one segment's seed.
pub struct Committer<'a> {
    seed: Hmac,
    source: &'a [u8],
    message: Vec<u8>,
}

impl<'a> Committer<'a> {
    pub fn new(seed: &[u8; HASH], source: &'a [u8]) -> Self {
        Committer { seed: Hmac::new(seed), source, message: Vec::with_capacity(1024) }
    }

    /// The root of the event's commitment tree, which has this one leaf.
    pub fn root(&mut self, boot: u64, seq: u64, rows: &[u8]) -> [u8; HASH] {
        self.begin(5, SALT, boot, seq);
        let salt = self.seed.of(&self.message);
        self.begin(6, COMMITMENT, boot, seq);
        self.message.extend_from_slice(rows);
        leaf(&Hmac::new(&salt).of(&self.message))
    }

    fn begin(&mut self, items: u64, label: &[u8], boot: u64, seq: u64) {
        let out = &mut self.message;
        out.clear();
        put_head(out, LIST, items);
        put_string(out, TEXT, label);
        put_string(out, TEXT, self.source);
        put_head(out, UINT, boot);
        put_head(out, UINT, seq);
        put_string(out, TEXT, PATH);
    }
}
