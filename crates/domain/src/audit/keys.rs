//! The keys that sign the audit log.

use super::{Broken, Hash};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// A key that signs, with the name that entries remember it by.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Random, and nowhere in the database.
    pub bytes: [u8; 32],
}

/// The keys of a deployment: the active one signs what is new, the others still verify what they signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    active: Key,
    former: Vec<Key>,
}

impl Keys {
    /// Takes the active key and those before it.
    pub fn new(active: Key, former: Vec<Key>) -> Self {
        Self { active, former }
    }

    /// The key that signs what is new.
    pub fn active(&self) -> &Key {
        &self.active
    }

    /// The key that signed entry `seq`.
    pub(super) fn of(&self, seq: i64, key_id: &str) -> Result<&Key, Broken> {
        let found = std::iter::once(&self.active).chain(&self.former).find(|key| key.id == key_id);
        found.ok_or_else(|| Broken::UnknownKey { seq, key_id: key_id.to_owned() })
    }
}

impl Key {
    /// HMAC-SHA-256 over parts.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Hash {
        mac(&self.bytes, parts).finalize().into_bytes().into()
    }

    /// Whether this is the MAC; as long for every wrong one.
    pub(super) fn signed(&self, parts: &[&[u8]], expected: &Hash) -> bool {
        mac(&self.bytes, parts).verify_slice(expected).is_ok()
    }
}

/// Each part is preceded by its length, so that no two lists of parts are the same bytes.
pub(super) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

impl fmt::Debug for Keys {
    /// Ids alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = std::iter::once(&self.active).chain(&self.former).map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}
