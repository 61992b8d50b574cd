//! Secrets at rest: envelope encryption with XChaCha20-Poly1305.
//!
//! Each secret is encrypted with a data key of its own, and the data key with a key-encryption key of the deployment
//! ([`KeyRing`]). Both are bound to the place the secret belongs to and to the terms it is used on ([`Place`]): moved to
//! another tenant, record or field, or with another host beside it, it does not decrypt. Changing the key-encryption key
//! re-wraps data keys; secrets stay as they are.
//!
//! Nonces are random: 192 bits make a repeat impossible in practice.

mod envelope;
mod key_ring;

pub use envelope::{Error, Place, Sealed};
pub use key_ring::{KeyRing, KeyRingError};
pub use zeroize::Zeroizing;
