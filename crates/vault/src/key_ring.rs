//! The key-encryption keys of a deployment.

use automation_domain::audit;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Longest id of a key, in characters.
const ID_CHARS: usize = 32;

/// The key-encryption keys: the first wraps what is new, the others still open what they wrapped.
pub struct KeyRing {
    active: Key,
    former: Vec<Key>,
}

/// A key with the name that wrapped data keys remember it by.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// Why a list of keys cannot be read; never tells a key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyRingError {
    /// Nothing in it.
    #[error("there is no key; give id:base64, several separated by commas, the active one first")]
    Empty,
    /// One entry is not `id:base64`.
    #[error("key number {position} is not id:base64 with an id of at most 32 letters, digits, - and _")]
    Malformed {
        /// From 1.
        position: usize,
    },
    /// One key is not base64 of 32 bytes.
    #[error("the key \"{id}\" is not 32 bytes in base64")]
    BadKey {
        /// Its id.
        id: String,
    },
    /// Two keys with one id.
    #[error("there are two keys \"{id}\"")]
    Duplicate {
        /// Their id.
        id: String,
    },
}

impl KeyRing {
    /// Reads `id:base64,id:base64`: the first key is the active one.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<Key> = Vec::new();
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            let key = Key::parse(entry, index + 1)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyRingError::Duplicate { id: key.id });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        let former = keys.split_off(1);
        let active = keys.pop().ok_or(KeyRingError::Empty)?;
        Ok(Self { active, former })
    }

    /// Id of the key that wraps what is new.
    pub fn active_id(&self) -> &str {
        &self.active.id
    }

    /// The same keys, to sign the audit log with.
    pub fn into_audit_keys(self) -> audit::Keys {
        let signing = |key: Key| audit::Key { id: key.id, bytes: *key.bytes };
        audit::Keys::new(signing(self.active), self.former.into_iter().map(signing).collect())
    }

    pub(crate) fn active(&self) -> &Key {
        &self.active
    }

    pub(crate) fn key(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.active).chain(&self.former).find(|key| key.id == id)
    }
}

impl Key {
    fn parse(entry: &str, position: usize) -> Result<Self, KeyRingError> {
        let malformed = KeyRingError::Malformed { position };
        let (id, encoded) = entry.split_once(':').ok_or(malformed.clone())?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.is_empty() || id.len() > ID_CHARS || !id.chars().all(word) {
            return Err(malformed);
        }
        let bad_key = || KeyRingError::BadKey { id: id.to_owned() };
        let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| bad_key())?);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if decoded.len() != KEY_BYTES {
            return Err(bad_key());
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self { id: id.to_owned(), bytes })
    }
}

impl fmt::Debug for KeyRing {
    /// Ids alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = std::iter::once(&self.active).chain(&self.former).map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const TWO: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

    #[test]
    fn the_first_key_is_the_active_one() {
        let ring = KeyRing::parse(&format!("new:{ONE}, old:{TWO}\n")).unwrap();
        assert_eq!(ring.active_id(), "new");
        assert!(ring.key("old").is_some() && ring.key("new").is_some() && ring.key("other").is_none());
    }

    #[test]
    fn debug_prints_ids_alone() {
        let ring = KeyRing::parse(&format!("new:{ONE},old:{TWO}")).unwrap();
        assert_eq!(format!("{ring:?}"), r#"["new", "old"]"#);
    }

    #[test]
    fn a_wrong_list_is_refused_without_its_keys() {
        for (text, expected) in [
            (String::new(), KeyRingError::Empty),
            (" , ".to_owned(), KeyRingError::Empty),
            (ONE.to_owned(), KeyRingError::Malformed { position: 1 }),
            (format!("a:{ONE},:{TWO}"), KeyRingError::Malformed { position: 2 }),
            (format!("a b:{ONE}"), KeyRingError::Malformed { position: 1 }),
            (format!("a:{ONE}x"), KeyRingError::BadKey { id: "a".to_owned() }),
            ("a:c2hvcnQ=".to_owned(), KeyRingError::BadKey { id: "a".to_owned() }),
            (format!("a:{ONE},a:{TWO}"), KeyRingError::Duplicate { id: "a".to_owned() }),
        ] {
            let error = KeyRing::parse(&text).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("MDEyMzQ1") && !error.to_string().contains("c2hvcnQ"));
        }
    }
}
