//! Where a chain ends.

use super::{Broken, Hash, Keys, legacy};
use crate::id::TenantId;

/// The end of a chain: written with every entry, so that a cut shows; kept elsewhere, it shows that the whole log was put
/// back to an earlier state, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub seq: i64,
    /// Its MAC.
    pub mac: Hash,
    /// So far the log from before there was a key is sealed.
    pub legacy: legacy::Head,
}

/// A head as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seal {
    /// The key that sealed it.
    pub key_id: String,
    /// The MAC over the head.
    pub mac: Hash,
}

impl Head {
    /// The head of an empty chain.
    pub const BEGINNING: Self = Self { seq: 0, mac: [0; 32], legacy: legacy::Head::BEGINNING };

    /// Seals the head of a tenant's chain with the active key.
    pub fn seal(&self, keys: &Keys, tenant: TenantId) -> Seal {
        let key = keys.active();
        Seal { key_id: key.id.clone(), mac: self.with_parts(tenant, &key.id, |parts| key.mac(parts)) }
    }

    /// Checks that this head was sealed for this tenant.
    ///
    /// # Errors
    ///
    /// [`Broken::UnknownKey`] and [`Broken::Head`].
    pub fn check(&self, keys: &Keys, tenant: TenantId, seal: &Seal) -> Result<(), Broken> {
        let key = keys.of(self.seq, &seal.key_id)?;
        match self.with_parts(tenant, &key.id, |parts| key.signed(parts, &seal.mac)) {
            true => Ok(()),
            false => Err(Broken::Head),
        }
    }

    fn with_parts<T>(&self, tenant: TenantId, key_id: &str, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        then(&[
            b"automation audit head 1",
            tenant.0.as_bytes(),
            &self.seq.to_be_bytes(),
            &self.mac,
            &self.legacy.seq.to_be_bytes(),
            &self.legacy.hash,
            key_id.as_bytes(),
        ])
    }
}
