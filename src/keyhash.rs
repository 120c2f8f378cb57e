//! The hash of keys.
//!
//! SipHash-1-3, keyed once a process: nobody can choose keys that collide, and no key tells where
//! another one stands. `siphasher`'s, because it hashes a whole key in one pass; the standard
//! library's is the same function behind a buffer for pieces, at twice the instructions.
//!
//! Threads: any.

use std::hash::{BuildHasher, RandomState};

use siphasher::sip::SipHasher13;

/// A hash function with its key.
#[derive(Clone, Copy)]
pub(crate) struct KeyHash(SipHasher13);

impl std::fmt::Debug for KeyHash {
    /// Without its key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash")
    }
}

impl KeyHash {
    /// One that nobody can predict.
    pub(crate) fn new() -> Self {
        // The standard library has its key from the system.
        let random = RandomState::new();
        let half = |number: u64| random.hash_one(number);
        Self(SipHasher13::new_with_keys(half(0), half(1)))
    }

    /// Hash of a key.
    pub(crate) fn of(&self, key: &[u8]) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "half of the hash is kept")]
        let hash = self.0.hash(key) as u32;
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_them_differ_and_one_does_not() {
        let (one, other) = (KeyHash::new(), KeyHash::new());
        let keys: Vec<[u8; 4]> = (0..64_u32).map(u32::to_be_bytes).collect();
        let hashes = |of: KeyHash| keys.iter().map(|key| of.of(key)).collect::<Vec<_>>();
        assert_eq!(hashes(one), hashes(one));
        assert_ne!(hashes(one), hashes(other));
    }

    #[test]
    fn it_tells_a_key_from_its_beginning_and_from_one_with_nuls() {
        let hash = KeyHash::new();
        assert_ne!(hash.of(b"key"), hash.of(b"key\0"));
        assert_ne!(hash.of(b""), hash.of(b"\0"));
    }
}
