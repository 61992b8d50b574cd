//! What the audit log was before it had a key: each entry's hash covers the entry and the hash before it. Whoever may write
//! to the table as its owner can make such a chain anew, so the keyed one seals where it ended.

use super::Hash;
use crate::id::TenantId;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// What the first entry of a chain has before it.
pub const BEGINNING: Hash = [0; 32];

/// One line of a tenant's audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Whose; the nil UUID for what concerns no tenant.
    pub tenant_id: TenantId,
    /// Its place, from 1 on, without gaps.
    pub seq: i64,
    /// When, by the database's clock, in whole microseconds.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What was done: `dead_letter.replay`.
    pub action: String,
    /// To what: `dead_letter 0193…`.
    pub subject: String,
    /// More, as the text of a JSON object.
    pub detail: String,
}

/// Where a chain breaks.
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
    /// The entry does not follow the one before it.
    #[error("entry {0} does not follow the entry before it")]
    Link(i64),
    /// The entry is not what was written.
    #[error("entry {0} was changed")]
    Content(i64),
}

impl Entry {
    /// The entry's hash after an entry with the hash `previous`.
    pub fn hash(&self, previous: &Hash) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(previous);
        let (seq, micros) = (self.seq.to_be_bytes(), self.at.timestamp_micros().to_be_bytes());
        let texts = [&self.actor, &self.action, &self.subject, &self.detail].map(|text| text.as_bytes());
        let fixed: [&[u8]; 3] = [self.tenant_id.0.as_bytes(), &seq, &micros];
        // Each part is preceded by its length, so that no two entries have the same bytes.
        for part in fixed.into_iter().chain(texts) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

/// The end of such a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty chain.
    pub const BEGINNING: Self = Self { seq: 0, hash: BEGINNING };

    /// The head after `entry`, as stored with the hash before it and its own.
    ///
    /// # Errors
    ///
    /// [`Broken`] when the entry is not what was written after this head.
    pub fn follow(self, entry: &Entry, previous: &Hash, stored: &Hash) -> Result<Self, Broken> {
        if entry.seq != self.seq + 1 {
            return Err(Broken::Gap { expected: self.seq + 1, found: entry.seq });
        }
        if *previous != self.hash {
            return Err(Broken::Link(entry.seq));
        }
        if entry.hash(previous) != *stored {
            return Err(Broken::Content(entry.seq));
        }
        Ok(Self { seq: entry.seq, hash: *stored })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn entry(seq: i64) -> Entry {
        Entry {
            tenant_id: TenantId(Uuid::from_u128(1)),
            seq,
            at: DateTime::from_timestamp(1_790_000_000 + seq, 5_000).unwrap(),
            actor: "ada".to_owned(),
            action: "dead_letter.replay".to_owned(),
            subject: format!("dead_letter {seq}"),
            detail: "{}".to_owned(),
        }
    }

    /// Entries with the hash before them and their own.
    fn chain(length: i64) -> Vec<(Entry, Hash, Hash)> {
        let mut previous = BEGINNING;
        (1..=length)
            .map(|seq| {
                let entry = entry(seq);
                let hash = entry.hash(&previous);
                (entry, std::mem::replace(&mut previous, hash), hash)
            })
            .collect()
    }

    fn verify(chain: &[(Entry, Hash, Hash)]) -> Result<Head, Broken> {
        chain
            .iter()
            .try_fold(Head::BEGINNING, |head, (entry, previous, hash)| head.follow(entry, previous, hash))
    }

    #[test]
    fn a_chain_that_nobody_touched_holds() {
        let whole = chain(3);
        assert_eq!(verify(&whole), Ok(Head { seq: 3, hash: whole[2].2 }));
        assert_eq!(verify(&[]), Ok(Head::BEGINNING));
    }

    #[test]
    fn every_change_breaks_it_where_it_was_made() {
        let changed = |change: fn(&mut Vec<(Entry, Hash, Hash)>)| {
            let mut chain = chain(4);
            change(&mut chain);
            verify(&chain).unwrap_err()
        };
        assert_eq!(changed(|c| c[1].0.actor = "eve".to_owned()), Broken::Content(2));
        assert_eq!(changed(|c| c[1].0.detail = "{ }".to_owned()), Broken::Content(2));
        assert_eq!(changed(|c| c[1].0.at += chrono::TimeDelta::microseconds(1)), Broken::Content(2));
        assert_eq!(changed(|c| c[1].0.tenant_id = TenantId(Uuid::nil())), Broken::Content(2));
        assert_eq!(changed(|c| drop(c.remove(1))), Broken::Gap { expected: 2, found: 3 });
        assert_eq!(changed(|c| drop(c.remove(0))), Broken::Gap { expected: 1, found: 2 });
        // Written anew with a right hash of its own: the entry after it tells.
        let rewritten = changed(|c| {
            c[1].0.actor = "eve".to_owned();
            c[1].2 = c[1].0.hash(&c[1].1);
        });
        assert_eq!(rewritten, Broken::Link(3));
    }

    #[test]
    fn text_cannot_move_from_one_member_to_the_next() {
        let (mut one, mut other) = (entry(1), entry(1));
        (one.actor, one.action) = ("ab".to_owned(), "c".to_owned());
        (other.actor, other.action) = ("a".to_owned(), "bc".to_owned());
        assert_ne!(one.hash(&BEGINNING), other.hash(&BEGINNING));
    }
}
