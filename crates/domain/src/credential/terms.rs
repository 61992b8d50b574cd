//! What decides where and how a secret is used.

use super::{AllowedHost, Scheme};
use sha2::{Digest, Sha256};
use std::fmt;

/// A digest of what decides where and how a secret is used. The secret is encrypted for these terms: changed without it,
/// they make it unreadable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Terms([u8; 32]);

impl Terms {
    /// The terms that these parts, in this order, say.
    pub fn of<Part: AsRef<str>>(parts: &[Part]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            let part = part.as_ref().as_bytes();
            // Preceded by its length, so that no two lists of parts have the same digest.
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Those of a credential: how its secret is put on a request, and to whom it may be sent.
    pub fn of_credential(scheme: &Scheme, allowed_hosts: &[AllowedHost]) -> Self {
        let how = [scheme.kind().to_owned(), scheme.fields().to_string()];
        let parts: Vec<String> =
            how.into_iter().chain(allowed_hosts.iter().map(ToString::to_string)).collect();
        Self::of(&parts)
    }

    /// The digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terms(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_decides_is_part_of_a_credentials_terms() {
        let hosts = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
        let user = |name: &str| Scheme::Basic { username: name.to_owned() };
        let header = Scheme::Header { name: "X-Key".to_owned() };
        let query = Scheme::Query { name: "X-Key".to_owned() };
        let all = [
            Terms::of_credential(&user("shop"), &hosts(&["a.example"])),
            Terms::of_credential(&user("shop"), &hosts(&["a.example:8443"])),
            Terms::of_credential(&user("shop"), &hosts(&["http://a.example:443"])),
            Terms::of_credential(&user("shop"), &hosts(&["*.a.example"])),
            Terms::of_credential(&user("shop"), &hosts(&["a.example", "b.example"])),
            Terms::of_credential(&user("other"), &hosts(&["a.example"])),
            Terms::of_credential(&header, &hosts(&["a.example"])),
            Terms::of_credential(&query, &hosts(&["a.example"])),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| one != other), "{index}");
        }
        // However a host is written, it is the same.
        assert_eq!(all[0], Terms::of_credential(&user("shop"), &hosts(&["https://A.example.:443"])));
    }
}
