//! Sealing and opening one secret.

use crate::KeyRing;
use crate::key_ring::KEY_BYTES;
use automation_domain::id::{CredentialId, TenantId};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use std::fmt;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

/// Where a secret belongs: part of what is authenticated, so that it opens nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The record.
    pub credential: CredentialId,
    /// The record's field.
    pub field: &'a str,
}

/// A secret as stored. Both parts are a nonce of 24 bytes and then ciphertext with its tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key-encryption key wrapped the data key.
    pub key_id: String,
    /// The data key, encrypted with the key-encryption key.
    pub wrapped_key: Vec<u8>,
    /// The secret, encrypted with the data key.
    pub ciphertext: Vec<u8>,
}

/// Why a secret cannot be sealed or opened; never tells anything of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The key-encryption key is not in the ring.
    #[error("the secret is wrapped with the key \"{key_id}\", which is not among the keys that were given")]
    UnknownKey {
        /// Its id.
        key_id: String,
    },
    /// It was changed, cut, moved here from another record, or wrapped with another key of the same id.
    #[error("the secret does not decrypt: it was damaged, or does not belong to this record")]
    Unreadable,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

impl KeyRing {
    /// Encrypts a secret for a place: a new data key each time, wrapped with the active key.
    ///
    /// # Errors
    ///
    /// [`Error::NoRandomness`].
    pub fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Sealed, Error> {
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        random(data_key.as_mut_slice())?;
        let ciphertext = encrypt(&data_key, &secret_context(place), secret)?;
        self.wrap(place, &data_key, ciphertext)
    }

    /// Decrypts a secret that was sealed for this place.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`] and [`Error::Unreadable`].
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let data_key = self.unwrap_key(place, sealed)?;
        decrypt(&data_key, &secret_context(place), &sealed.ciphertext)
    }

    /// Wraps the data key with the active key; `None` when it is already. The ciphertext stays as it is.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::seal`] and [`KeyRing::open`]: what does not open is not wrapped again either.
    pub fn rewrap(&self, place: Place<'_>, sealed: &Sealed) -> Result<Option<Sealed>, Error> {
        if sealed.key_id == self.active_id() {
            return Ok(None);
        }
        let data_key = self.unwrap_key(place, sealed)?;
        // A secret that is damaged should be noticed while the key that wrapped it is still known.
        decrypt(&data_key, &secret_context(place), &sealed.ciphertext)?;
        self.wrap(place, &data_key, sealed.ciphertext.clone()).map(Some)
    }

    fn wrap(
        &self,
        place: Place<'_>,
        data_key: &[u8; KEY_BYTES],
        ciphertext: Vec<u8>,
    ) -> Result<Sealed, Error> {
        let key = self.active();
        let wrapped_key = encrypt(&key.bytes, &key_context(place, &key.id), data_key)?;
        Ok(Sealed { key_id: key.id.clone(), wrapped_key, ciphertext })
    }

    fn unwrap_key(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        let unknown = || Error::UnknownKey { key_id: sealed.key_id.clone() };
        let key = self.key(&sealed.key_id).ok_or_else(unknown)?;
        let opened = decrypt(&key.bytes, &key_context(place, &key.id), &sealed.wrapped_key)?;
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err(Error::Unreadable);
        }
        data_key.copy_from_slice(&opened);
        Ok(data_key)
    }
}

impl fmt::Debug for Sealed {
    /// Which key, and nothing of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// What a secret is authenticated with. The key-encryption key is no part of it, so that it can change.
fn secret_context(place: Place<'_>) -> Vec<u8> {
    context(&[b"secret", place.tenant.0.as_bytes(), place.credential.0.as_bytes(), place.field.as_bytes()])
}

/// What a wrapped data key is authenticated with.
fn key_context(place: Place<'_>, key_id: &str) -> Vec<u8> {
    let Place { tenant, credential, field } = place;
    context(&[b"key", tenant.0.as_bytes(), credential.0.as_bytes(), field.as_bytes(), key_id.as_bytes()])
}

/// Each part is preceded by its length, so that no two lists of parts are the same bytes.
fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"automation vault 1".to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn encrypt(key: &[u8; KEY_BYTES], context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    let payload = Payload { msg: plain, aad: context };
    // Refused only beyond 256 GiB.
    let encrypted = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| Error::Unreadable)?;
    Ok([nonce.as_slice(), &encrypted].concat())
}

fn decrypt(key: &[u8; KEY_BYTES], context: &[u8], stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (nonce, encrypted) = stored.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Unreadable)?;
    let payload = Payload { msg: encrypted, aad: context };
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| Error::Unreadable)
}

fn random(bytes: &mut [u8]) -> Result<(), Error> {
    SysRng.try_fill_bytes(bytes).map_err(|_| Error::NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const SECRET: &[u8] = b"canary-2b7e151628aed2a6";

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(text).unwrap()
    }

    fn old() -> KeyRing {
        ring("old:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=")
    }

    fn new_and_old() -> KeyRing {
        ring(
            "new:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=,old:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=",
        )
    }

    fn place(tenant: u128, credential: u128, field: &str) -> Place<'_> {
        Place {
            tenant: TenantId(Uuid::from_u128(tenant)),
            credential: CredentialId(Uuid::from_u128(credential)),
            field,
        }
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed() {
        let sealed = old().seal(place(1, 2, "secret"), SECRET).unwrap();
        assert_eq!(old().open(place(1, 2, "secret"), &sealed).unwrap().as_slice(), SECRET);
        assert!(!sealed.ciphertext.windows(6).any(|window| window == &SECRET[..6]));
    }

    #[test]
    fn two_seals_of_one_secret_have_nothing_in_common() {
        let (one, two) =
            (old().seal(place(1, 2, "s"), SECRET).unwrap(), old().seal(place(1, 2, "s"), SECRET).unwrap());
        assert_ne!(one.ciphertext, two.ciphertext);
        assert_ne!(one.wrapped_key, two.wrapped_key);
    }

    #[test]
    fn moved_to_another_tenant_record_or_field_it_does_not_open() {
        let sealed = old().seal(place(1, 2, "secret"), SECRET).unwrap();
        for elsewhere in
            [place(3, 2, "secret"), place(1, 3, "secret"), place(1, 2, "other"), place(2, 1, "secret")]
        {
            assert_eq!(old().open(elsewhere, &sealed), Err(Error::Unreadable), "{elsewhere:?}");
        }
    }

    #[test]
    fn parts_of_two_secrets_do_not_fit_together() {
        let mut mixed = old().seal(place(1, 2, "secret"), SECRET).unwrap();
        mixed.wrapped_key = old().seal(place(1, 2, "secret"), b"another secret").unwrap().wrapped_key;
        assert_eq!(old().open(place(1, 2, "secret"), &mixed), Err(Error::Unreadable));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let here = place(1, 2, "secret");
        let sealed = old().seal(here, SECRET).unwrap();
        for (name, part) in [("wrapped_key", &sealed.wrapped_key), ("ciphertext", &sealed.ciphertext)] {
            let changed = |bytes: Vec<u8>| {
                let mut changed = sealed.clone();
                match name {
                    "wrapped_key" => changed.wrapped_key = bytes,
                    _ => changed.ciphertext = bytes,
                }
                old().open(here, &changed)
            };
            for bit in 0..part.len() * 8 {
                let mut bytes = part.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(changed(bytes), Err(Error::Unreadable), "{name}, bit {bit}");
            }
            for length in 0..part.len() {
                assert_eq!(
                    changed(part[..length].to_vec()),
                    Err(Error::Unreadable),
                    "{name}, cut to {length}"
                );
            }
            assert_eq!(changed([part.as_slice(), &[0]].concat()), Err(Error::Unreadable), "{name}, longer");
        }
    }

    #[test]
    fn another_key_does_not_open_it() {
        let here = place(1, 2, "secret");
        let sealed = old().seal(here, SECRET).unwrap();
        let same_id = ring("old:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
        assert_eq!(same_id.open(here, &sealed), Err(Error::Unreadable));
        let others = ring("new:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
        assert_eq!(others.open(here, &sealed), Err(Error::UnknownKey { key_id: "old".to_owned() }));
    }

    #[test]
    fn rewrapping_changes_the_key_and_leaves_the_secret() {
        let here = place(1, 2, "secret");
        let sealed = old().seal(here, SECRET).unwrap();
        let rewrapped = new_and_old().rewrap(here, &sealed).unwrap().unwrap();
        assert_eq!((rewrapped.key_id.as_str(), &rewrapped.ciphertext), ("new", &sealed.ciphertext));
        let new_alone = ring("new:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
        assert_eq!(new_alone.open(here, &rewrapped).unwrap().as_slice(), SECRET);
        assert_eq!(new_and_old().rewrap(here, &rewrapped), Ok(None));
        assert_eq!(new_and_old().rewrap(place(9, 2, "secret"), &sealed), Err(Error::Unreadable));
        // The id of the key is authenticated too: it cannot be exchanged for another's.
        let renamed = Sealed { key_id: "new".to_owned(), ..sealed };
        assert_eq!(new_and_old().open(here, &renamed), Err(Error::Unreadable));
    }

    #[test]
    fn debug_prints_nothing_of_a_secret() {
        let sealed = old().seal(place(1, 2, "secret"), SECRET).unwrap();
        assert_eq!(format!("{sealed:?}"), r#"Sealed { key_id: "old", .. }"#);
    }
}
