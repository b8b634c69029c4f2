//! RFC 9162 hashing of many leaves and nodes at once. Hashes are 32 bytes each, concatenated.

use sha2::{Digest, Sha256};

pub const HASH: usize = 32;

pub fn leaf(data: &[u8]) -> [u8; HASH] {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node(children: &[u8]) -> [u8; HASH] {
    Sha256::new().chain_update([1]).chain_update(children).finalize().into()
}

/// Replaces one level by the level above it. An odd last node rises unhashed, which is RFC 9162's split.
fn rise(level: &mut Vec<u8>) {
    let (pairs, odd) = (level.len() / (2 * HASH), level.len() % (2 * HASH));
    for at in 0..pairs {
        let above = node(&level[at * 2 * HASH..(at + 1) * 2 * HASH]);
        level[at * HASH..(at + 1) * HASH].copy_from_slice(&above);
    }
    level.copy_within(pairs * 2 * HASH.., pairs * HASH);
    level.truncate(pairs * HASH + odd);
}

/// The root over at least one leaf hash.
pub fn root(mut level: Vec<u8>) -> Vec<u8> {
    while level.len() > HASH {
        rise(&mut level);
    }
    level
}
