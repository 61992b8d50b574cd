//! The form of an API key: what publishers over HTTP show, and what of it is stored.

use sha2::{Digest, Sha256};
use std::fmt;

/// What every key begins with, so that people and scanners of source code recognize one.
const BEGINNING: &str = "auto_live_";
/// Random characters after it: 32 bytes in base64url.
const CHARACTERS: usize = 43;
/// How much of a key is stored in the clear, for people to tell keys apart.
const SHOWN: usize = BEGINNING.len() + 6;

/// A key in the clear; it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Makes a key of random bytes.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(format!("{BEGINNING}{}", base64url(bytes)))
    }

    /// Reads a key as it was sent; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(BEGINNING)?;
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (random.len() == CHARACTERS && random.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }

    /// What is stored of it, and found by. A key has 256 random bits, so a plain hash cannot be turned back.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Its beginning, for lists.
    pub fn shown(&self) -> &str {
        self.0.get(..SHOWN).unwrap_or(BEGINNING)
    }

    /// The key itself, for the one moment at which its owner sees it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.shown())
    }
}

/// RFC 4648, section 5, without padding.
pub fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let group =
                chunk.iter().chain(&[0, 0]).take(3).fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
            (0..=chunk.len())
                .map(move |place| char::from(ALPHABET[((group >> (18 - 6 * place)) & 63) as usize]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_the_standard() {
        for (bytes, expected) in
            [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (&[0xfb, 0xff], "-_8")]
        {
            assert_eq!(base64url(bytes), expected);
        }
    }

    #[test]
    fn a_key_reads_back_and_shows_only_its_beginning() {
        let key = ApiKey::from_random(&[7; 32]);
        assert_eq!(ApiKey::parse(key.expose()), Some(key.clone()));
        assert_eq!((key.shown(), key.shown().len()), ("auto_live_BwcHBw", SHOWN));
        assert_eq!(format!("{key:?}"), "auto_live_BwcHBw…");
        assert_ne!(key.hash(), ApiKey::from_random(&[8; 32]).hash());
    }

    #[test]
    fn what_cannot_be_a_key_is_none() {
        let key = ApiKey::from_random(&[7; 32]);
        let short = &key.expose()[..52];
        for text in ["", "auto_live_", short, &format!("{short}="), &format!("{}a", key.expose()), "Bearer x"]
        {
            assert_eq!(ApiKey::parse(text), None, "{text}");
        }
    }
}
