//! What an entry says of people.

use super::Hash;
use super::keys::mac;
use hmac::Mac;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// Who did it, to what, and how: may name people, so it can be erased.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    /// Random, and erased with the words: without it, nobody finds out by trying what they were.
    pub salt: [u8; SALT_BYTES],
    /// Who.
    pub actor: String,
    /// To what: `dead_letter 0193…`.
    pub subject: String,
    /// More, as the text of a JSON object.
    pub detail: String,
}

impl Words {
    /// What the link keeps of them.
    pub fn commitment(&self) -> Hash {
        let texts = [&self.actor, &self.subject, &self.detail].map(|text| text.as_bytes());
        let parts: Vec<&[u8]> =
            std::iter::once(b"automation audit words 1".as_slice()).chain(texts).collect();
        mac(&self.salt, &parts).finalize().into_bytes().into()
    }
}
