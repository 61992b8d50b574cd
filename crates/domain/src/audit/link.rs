//! What stays of an entry for ever.

use super::{Broken, Hash, Keys, from_hex, hex, legacy};
use crate::id::TenantId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// One link of a tenant's chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Whose; the nil UUID for what concerns no tenant.
    pub tenant_id: TenantId,
    /// Its place, from 1 on, without gaps.
    pub seq: i64,
    /// When, by the database's clock, in whole microseconds.
    pub at: DateTime<Utc>,
    /// What was done: `dead_letter.replay`.
    pub action: String,
    /// To the words.
    pub commitment: Hash,
    /// What the chain itself needs to know of the deed, as the text of a [`Proof`]; names nobody.
    pub proof: String,
    /// The key that signs it.
    pub key_id: String,
}

impl Link {
    /// Its MAC after a link with the MAC `previous`.
    ///
    /// # Errors
    ///
    /// [`Broken::UnknownKey`].
    pub fn mac(&self, keys: &Keys, previous: &Hash) -> Result<Hash, Broken> {
        let key = keys.of(self.seq, &self.key_id)?;
        Ok(self.with_parts(previous, |parts| key.mac(parts)))
    }

    /// Checks that it is what was written at place `seq` after a link with the MAC `previous`.
    ///
    /// # Errors
    ///
    /// [`Broken`] when it is not.
    pub fn check(&self, keys: &Keys, seq: i64, previous: &Hash, stored: &Hash) -> Result<(), Broken> {
        if self.seq != seq {
            return Err(Broken::Gap { expected: seq, found: self.seq });
        }
        let key = keys.of(self.seq, &self.key_id)?;
        match self.with_parts(previous, |parts| key.signed(parts, stored)) {
            true => Ok(()),
            false => Err(Broken::Changed(self.seq)),
        }
    }

    fn with_parts<T>(&self, previous: &Hash, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (seq, micros) = (self.seq.to_be_bytes(), self.at.timestamp_micros().to_be_bytes());
        then(&[
            b"automation audit link 1",
            previous,
            self.tenant_id.0.as_bytes(),
            &seq,
            &micros,
            self.action.as_bytes(),
            &self.commitment,
            self.proof.as_bytes(),
            self.key_id.as_bytes(),
        ])
    }
}

/// What the chain needs to know of a deed that concerns the log itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Proof {
    /// Nothing: any other deed.
    #[default]
    None,
    /// The words of these entries were erased: first and last of each row of them, ascending.
    Erased(Vec<(i64, i64)>),
    /// So far the log from before there was a key is sealed.
    Legacy(legacy::Head),
}

impl Proof {
    /// That the words of these entries, in ascending order, were erased.
    pub fn erased(entries: &[i64]) -> Self {
        let mut rows: Vec<(i64, i64)> = Vec::new();
        for seq in entries {
            match rows.last_mut() {
                Some((_, last)) if *last + 1 == *seq => *last = *seq,
                Some(_) | None => rows.push((*seq, *seq)),
            }
        }
        Self::Erased(rows)
    }

    /// As a link keeps it.
    pub fn to_text(&self) -> String {
        let value = match self {
            Self::None => json!({}),
            Self::Erased(rows) => json!({ "erased": rows }),
            Self::Legacy(head) => json!({ "legacy": { "seq": head.seq, "hash": hex(&head.hash) } }),
        };
        value.to_string()
    }

    /// Reads what [`Proof::to_text`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        if let Some(rows) = value.get("erased") {
            return serde_json::from_value(rows.clone()).ok().map(Self::Erased);
        }
        if let Some(head) = value.get("legacy") {
            let hash = from_hex(head["hash"].as_str()?)?;
            return Some(Self::Legacy(legacy::Head { seq: head["seq"].as_i64()?, hash }));
        }
        value.as_object().filter(|members| members.is_empty()).map(|_| Self::None)
    }
}
