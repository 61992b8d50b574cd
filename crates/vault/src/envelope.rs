//! Sealing and opening one secret.

use crate::KeyRing;
use crate::key_ring::KEY_BYTES;
use automation_domain::credential::Terms;
use automation_domain::id::{CredentialId, TenantId};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::TryRng;
use rand::rngs::SysRng;
use std::fmt;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;

type DataKey = Zeroizing<[u8; KEY_BYTES]>;

/// Where a secret belongs and what it may be used for: part of what is authenticated, so that it opens for nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// The record.
    pub credential: CredentialId,
    /// The record's field.
    pub field: &'a str,
    /// What decides where and how it is used.
    pub terms: Terms,
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
    /// It was changed, cut, moved here from another record, or wrapped with another key of the same id; or its terms are not
    /// those that it was sealed with.
    #[error(
        "the secret does not decrypt: it was damaged, does not belong to this record, or what decides where and how it \
         is used was changed without it"
    )]
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
        let ciphertext = encrypt(&data_key, &secret_context(Format::Terms, place), secret)?;
        self.wrap(place, &data_key, ciphertext)
    }

    /// Decrypts a secret that was sealed for this place.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`] and [`Error::Unreadable`].
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (format, data_key) = self.data_key(place, &sealed.key_id, &sealed.wrapped_key)?;
        decrypt(&data_key, &secret_context(format, place), &sealed.ciphertext)
    }

    /// Checks by its wrapped data key alone that a secret was sealed for this place; for those who may not read it.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::open`].
    pub fn check(&self, place: Place<'_>, key_id: &str, wrapped_key: &[u8]) -> Result<(), Error> {
        self.data_key(place, key_id, wrapped_key).map(drop)
    }

    /// Wraps the data key with the active key; `None` when it is already. The ciphertext stays as it is, unless it was
    /// sealed before terms were authenticated: such a secret is sealed anew.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::seal`] and [`KeyRing::open`]: what does not open is not wrapped again either.
    pub fn rewrap(&self, place: Place<'_>, sealed: &Sealed) -> Result<Option<Sealed>, Error> {
        let (format, data_key) = self.data_key(place, &sealed.key_id, &sealed.wrapped_key)?;
        // A secret that is damaged should be noticed while the key that wrapped it is still known.
        let secret = decrypt(&data_key, &secret_context(format, place), &sealed.ciphertext)?;
        match format {
            Format::Place => self.seal(place, &secret).map(Some),
            Format::Terms if sealed.key_id == self.active_id() => Ok(None),
            Format::Terms => self.wrap(place, &data_key, sealed.ciphertext.clone()).map(Some),
        }
    }

    fn wrap(
        &self,
        place: Place<'_>,
        data_key: &[u8; KEY_BYTES],
        ciphertext: Vec<u8>,
    ) -> Result<Sealed, Error> {
        let key = self.active();
        let wrapped_key = encrypt(&key.bytes, &key_context(Format::Terms, place, &key.id), data_key)?;
        Ok(Sealed { key_id: key.id.clone(), wrapped_key, ciphertext })
    }

    fn data_key(&self, place: Place<'_>, key_id: &str, wrapped: &[u8]) -> Result<(Format, DataKey), Error> {
        let unknown = || Error::UnknownKey { key_id: key_id.to_owned() };
        let key = self.key(key_id).ok_or_else(unknown)?;
        let opened = [Format::Terms, Format::Place].into_iter().find_map(|format| {
            let opened = decrypt(&key.bytes, &key_context(format, place, &key.id), wrapped).ok()?;
            Some((format, opened))
        });
        let (format, opened) = opened.ok_or(Error::Unreadable)?;
        if opened.len() != KEY_BYTES {
            return Err(Error::Unreadable);
        }
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        data_key.copy_from_slice(&opened);
        Ok((format, data_key))
    }
}

impl fmt::Debug for Sealed {
    /// Which key, and nothing of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// What a secret is authenticated with. The key-encryption key is no part of it, so that it can change.
fn secret_context(format: Format, place: Place<'_>) -> Vec<u8> {
    format.context("secret", place, &[])
}

/// What a wrapped data key is authenticated with.
fn key_context(format: Format, place: Place<'_>, key_id: &str) -> Vec<u8> {
    format.context("key", place, &[key_id.as_bytes()])
}

/// What a sealed secret is bound to. A secret of the one format does not open as one of the other: each has data keys of
/// its own.
#[derive(Clone, Copy)]
enum Format {
    /// Its place without the terms: what was sealed before terms were authenticated.
    Place,
    /// Its place with the terms.
    Terms,
}

impl Format {
    /// Each part is preceded by its length, so that no two lists of parts are the same bytes.
    fn context(self, of: &str, place: Place<'_>, more: &[&[u8]]) -> Vec<u8> {
        let Place { tenant, credential, field, terms } = place;
        let (mut bytes, terms): (_, &[&[u8]]) = match self {
            Self::Place => (b"automation vault 1".to_vec(), &[]),
            Self::Terms => (b"automation vault 2".to_vec(), &[terms.as_bytes()]),
        };
        let fixed = [of.as_bytes(), tenant.0.as_bytes(), credential.0.as_bytes(), field.as_bytes()];
        for part in fixed.iter().chain(terms).chain(more) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
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

#[expect(clippy::disallowed_methods, reason = "the one place that draws keys and nonces")]
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
            terms: Terms::of(&["bearer", "{}", "api.example.com:443"]),
        }
    }

    /// As secrets were sealed before terms were authenticated.
    fn sealed_without_terms(ring: &KeyRing, place: Place<'_>) -> Sealed {
        let (key, data_key) = (ring.active(), [7; KEY_BYTES]);
        Sealed {
            key_id: key.id.clone(),
            wrapped_key: encrypt(&key.bytes, &key_context(Format::Place, place, &key.id), &data_key).unwrap(),
            ciphertext: encrypt(&data_key, &secret_context(Format::Place, place), SECRET).unwrap(),
        }
    }

    #[test]
    fn under_other_terms_it_does_not_open() {
        let here = place(1, 2, "secret");
        let sealed = old().seal(here, SECRET).unwrap();
        assert_eq!(old().check(here, &sealed.key_id, &sealed.wrapped_key), Ok(()));
        for parts in [
            &["bearer", "{}", "evil.example:443"][..],
            &["bearer", "{}", "api.example.com:443", "evil.example:443"],
            &["bearer", "{}api.example.com:443"],
            &["hmac", "{}", "api.example.com:443"],
            &[],
        ] {
            let changed = Place { terms: Terms::of(parts), ..here };
            assert_eq!(old().open(changed, &sealed), Err(Error::Unreadable), "{parts:?}");
            assert_eq!(old().check(changed, "old", &sealed.wrapped_key), Err(Error::Unreadable), "{parts:?}");
            assert_eq!(new_and_old().rewrap(changed, &sealed), Err(Error::Unreadable), "{parts:?}");
        }
    }

    #[test]
    fn what_was_sealed_without_terms_opens_and_is_sealed_anew_with_them() {
        let here = place(1, 2, "secret");
        let sealed = sealed_without_terms(&old(), here);
        assert_eq!(old().open(here, &sealed).unwrap().as_slice(), SECRET);
        assert_eq!(old().open(place(1, 3, "secret"), &sealed), Err(Error::Unreadable));
        let bound = old().rewrap(here, &sealed).unwrap().expect("the active key alone does not do");
        assert_eq!(old().open(here, &bound).unwrap().as_slice(), SECRET);
        assert_eq!(old().rewrap(here, &bound), Ok(None));
        let changed = Place { terms: Terms::of(&["other"]), ..here };
        assert_eq!(old().open(changed, &bound), Err(Error::Unreadable));
        // The way back is closed: a data key that was kept opens nothing that was sealed anew.
        let mixed = Sealed { wrapped_key: sealed.wrapped_key, ..bound };
        assert_eq!(old().open(here, &mixed), Err(Error::Unreadable));
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
