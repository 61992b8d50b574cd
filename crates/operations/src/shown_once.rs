//! Secrets that are made here.

use crate::Error;
use automation_service_kit::random::random_bytes;
use automation_vault::Zeroizing;
use serde::{Serialize, Serializer};
use std::fmt;

/// A secret that was just made: its owner sees it in this result, and nobody sees it again.
#[derive(Clone)]
pub struct ShownOnce(Zeroizing<String>);

impl ShownOnce {
    pub(crate) fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for ShownOnce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownOnce(…)")
    }
}

/// What a secret is made of.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let bytes = random_bytes().map_err(|_the_system_has_none| automation_vault::Error::NoRandomness)?;
    Ok(Zeroizing::new(bytes))
}
