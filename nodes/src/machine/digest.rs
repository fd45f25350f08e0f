//! The arithmetic of the state's digest.
//!
//! The digest is a sum, modulo 2^64, of one hash for each key and one for each session: a change subtracts the old hash and adds
//! the new one, so it costs what the change costs and not what the state does. It guards against accidents, not malice.

use std::hash::{Hash, Hasher};

/// FNV-1a over 64 bits, with a final mixing: short, portable, and the same in every process, unlike the standard hasher's keys.
struct Fnv(u64);

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = mix(self.0 ^ n);
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

/// The hash of one thing.
pub(super) fn hash_of(thing: &impl Hash) -> u64 {
    let mut hasher = Fnv(FNV_OFFSET);
    thing.hash(&mut hasher);
    hasher.finish()
}

/// Spreads every bit over all (the finaliser of splitmix64), so that sums of hashes do not cancel out by structure.
pub(super) fn mix(mut n: u64) -> u64 {
    n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
