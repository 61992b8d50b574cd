//! The audit log: what people did, in one chain for each tenant that nobody without its key can write, change or shorten
//! unseen.
//!
//! A [`Link`] stays for ever: when, what, and a commitment to the [`Words`], which say who did it, to what, and how. The words
//! stand apart and can be erased, after which the link still holds. The [`Head`] says where the chain ends, sealed with the key.

mod head;
mod keys;
pub mod legacy;
mod link;
mod walk;
mod words;

pub use head::{Head, Seal};
pub use keys::{Key, Keys};
pub use link::{Link, Proof};
pub use walk::{Walk, Walked};
pub use words::{SALT_BYTES, Words};

use std::fmt::Write as _;

/// A hash or MAC of the log.
pub type Hash = [u8; 32];

/// Where a log is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// Entries are missing, or were put in between.
    #[error("entry {expected} is missing: entry {found} stands in its place")]
    Gap {
        /// The number that comes next.
        expected: i64,
        /// The number that stands there.
        found: i64,
    },
    /// The entry is not what was written, or does not follow the one before it.
    #[error("entry {0} was changed")]
    Changed(i64),
    /// What the entry says of people is not what was written.
    #[error("the words of entry {0} were changed")]
    WordsChanged(i64),
    /// What the entry said of people is gone, and no later entry says that it was erased.
    #[error("the words of entry {0} are gone, and no entry says that they were erased")]
    WordsGone(i64),
    /// The end was cut off, or entries were added past the head.
    #[error("the log ends with entry {last}, and its head says {head}")]
    End {
        /// The last entry; 0 when there is none.
        last: i64,
        /// The last entry by the head; 0 when there is none.
        head: i64,
    },
    /// The head is not what was written.
    #[error("the head of the log was changed")]
    Head,
    /// A MAC by a key that was not given.
    #[error("entry {seq} is signed with the key \"{key_id}\", which is not among the keys that were given")]
    UnknownKey {
        /// The entry.
        seq: i64,
        /// The key's id.
        key_id: String,
    },
    /// The log from before there was a key is not as it was when it was sealed.
    #[error("the log from before there was a key is not the one that entry {0} sealed")]
    Sealed(i64),
    /// The log from before there was a key does not hold.
    #[error("in the log from before there was a key, {0}")]
    Legacy(#[from] legacy::Broken),
}

/// A hash as text.
pub fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that [`hex`] wrote.
pub fn from_hex(text: &str) -> Option<Hash> {
    let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
