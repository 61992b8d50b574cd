//! Credentials: how a secret authorizes a request, and to whom it may be sent. The secret itself is not here.

mod host;
mod terms;

pub use host::AllowedHost;
pub use terms::Terms;

use crate::http;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Shortest secret, in bytes: a shorter one could be guessed, and could not be blanked out of answers without harm.
pub const MIN_SECRET_BYTES: usize = 8;
/// Longest secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 4 * 1024;

/// How a secret is put on a request. What stands here is no secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Scheme {
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// `Authorization: Basic …` of a user's name and the secret as password.
    Basic {
        /// Without a colon.
        username: String,
    },
    /// The secret as the value of a header.
    Header {
        /// The header's name.
        name: String,
    },
    /// The secret as a parameter of the URL; for services that take it nowhere else.
    Query {
        /// The parameter's name.
        name: String,
    },
    /// The request is signed with the secret as Standard Webhooks says: headers `webhook-id`, `webhook-timestamp` and
    /// `webhook-signature`. The secret is `whsec_` and 24 to 64 bytes in base64; it is never sent.
    Hmac,
}

impl Scheme {
    /// The words of the kinds, in the order they are documented in.
    pub const KINDS: [&str; 5] = ["bearer", "basic", "header", "query", "hmac"];

    /// The kind's word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic { .. } => "basic",
            Self::Header { .. } => "header",
            Self::Query { .. } => "query",
            Self::Hmac => "hmac",
        }
    }

    /// What a kind needs beside the secret, as an object.
    pub fn fields(&self) -> Value {
        let mut fields = Map::new();
        match self {
            Self::Bearer | Self::Hmac => {}
            Self::Basic { username } => drop(fields.insert("username".to_owned(), username.as_str().into())),
            Self::Header { name } | Self::Query { name } => {
                fields.insert("name".to_owned(), name.as_str().into());
            }
        }
        Value::Object(fields)
    }

    /// The scheme of a kind and what it needs; the reverse of [`Scheme::kind`] and [`Scheme::fields`].
    ///
    /// # Errors
    ///
    /// What is missing or not acceptable, as a sentence.
    pub fn from_parts(kind: &str, fields: &Value) -> Result<Self, String> {
        let field = |key: &str| match fields.get(key).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            Some(_) | None => Err(format!("a credential of kind {kind} needs a {key}")),
        };
        let scheme = match kind {
            "bearer" => Self::Bearer,
            "basic" => Self::Basic { username: field("username")? },
            "header" => Self::Header { name: field("name")? },
            "query" => Self::Query { name: field("name")? },
            "hmac" => Self::Hmac,
            _ => return Err(format!("\"{kind}\" is not a kind of credential: {}", Self::KINDS.join(", "))),
        };
        scheme.check()?;
        Ok(scheme)
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Bearer | Self::Hmac => Ok(()),
            Self::Basic { username } if username.contains(':') || username.chars().any(char::is_control) => {
                Err("the username has a colon or a control character".to_owned())
            }
            Self::Basic { .. } => Ok(()),
            Self::Header { name } => {
                http::check_header_name(name).map_err(|rule| format!("\"{name}\" {rule}"))
            }
            Self::Query { name } if name.chars().any(char::is_control) => {
                Err("the name of the parameter has a control character".to_owned())
            }
            Self::Query { .. } => Ok(()),
        }
    }

    /// Checks that a secret can be sent in this way.
    ///
    /// # Errors
    ///
    /// The rule that it breaks, as a sentence that says nothing about the secret but its length.
    pub fn check_secret(&self, secret: &str) -> Result<(), String> {
        let size = secret.len();
        if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&size) {
            return Err(format!(
                "the secret has {size} bytes; {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} are allowed"
            ));
        }
        match self {
            Self::Bearer | Self::Header { .. }
                if !secret.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') =>
            {
                Err("the secret goes into a header, so it may only have printable ASCII characters"
                    .to_owned())
            }
            Self::Basic { .. } | Self::Query { .. } if secret.chars().any(char::is_control) => {
                Err("the secret has a line break or another control character".to_owned())
            }
            Self::Hmac if !is_signing_secret(secret) => {
                Err("the secret of kind hmac is whsec_ and 24 to 64 bytes in base64".to_owned())
            }
            Self::Bearer | Self::Header { .. } | Self::Basic { .. } | Self::Query { .. } | Self::Hmac => {
                Ok(())
            }
        }
    }
}

/// Whether a text is a credential's key: what workflows name it by.
pub fn is_key(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&key.len())
        && key.bytes().next().is_some_and(word)
        && key.bytes().all(|byte| word(byte) || byte == b'-' || byte == b'_')
}

/// `whsec_` and 24 to 64 bytes in padded or unpadded base64.
fn is_signing_secret(secret: &str) -> bool {
    let Some(encoded) = secret.strip_prefix("whsec_") else { return false };
    let digits = encoded.trim_end_matches('=');
    let padding = encoded.len() - digits.len();
    digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
        && digits.len() % 4 != 1
        && (padding == 0 || (digits.len() + padding).is_multiple_of(4) && padding <= 2)
        && (24..=64).contains(&(digits.len() * 6 / 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn every() -> [Scheme; 5] {
        [
            Scheme::Bearer,
            Scheme::Basic { username: "shop".to_owned() },
            Scheme::Header { name: "X-Api-Key".to_owned() },
            Scheme::Query { name: "key".to_owned() },
            Scheme::Hmac,
        ]
    }

    #[test]
    fn parts_make_the_scheme_again() {
        for (scheme, kind) in every().into_iter().zip(Scheme::KINDS) {
            assert_eq!(scheme.kind(), kind);
            assert_eq!(Scheme::from_parts(kind, &scheme.fields()), Ok(scheme.clone()));
            let mut tagged = scheme.fields();
            tagged["kind"] = kind.into();
            assert_eq!(serde_json::to_value(&scheme).unwrap(), tagged);
        }
    }

    #[test]
    fn what_a_kind_needs_is_asked_for() {
        for (kind, fields, problem) in [
            ("basic", json!({}), "needs a username"),
            ("basic", json!({"username": "a:b"}), "colon"),
            ("header", json!({"name": ""}), "needs a name"),
            ("header", json!({"name": "Host"}), "cannot be set"),
            ("header", json!({"name": "a\r\nb"}), "not the name of a header"),
            ("query", json!({"name": "a\nb"}), "control character"),
            ("oauth", json!({}), "not a kind"),
        ] {
            let error = Scheme::from_parts(kind, &fields).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn secrets_that_cannot_be_sent_are_refused_without_showing_them() {
        let [bearer, basic, header, query, hmac] = every();
        for (scheme, secret) in [
            (&bearer, "short"),
            (&bearer, "line\r\nbreak-in-it"),
            (&bearer, "größer-als-ascii"),
            (&header, "nul\0in-the-middle"),
            (&basic, "line\nbreak-in-it"),
            (&query, "tab\tin-the-middle"),
            (&hmac, "whsec_c2hvcnQ="),
            (&hmac, "not-a-signing-secret"),
            (&hmac, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz===="),
        ] {
            let error = scheme.check_secret(secret).unwrap_err();
            assert!(!error.contains(secret) && !error.contains("c2hvcnQ"), "{error}");
        }
        assert!(bearer.check_secret(&"a".repeat(4097)).is_err());
        for (scheme, secret) in [
            (&bearer, "sk_live_0123"),
            (&basic, "pässword und mehr"),
            (&header, "Token token=1234"),
            (&query, "AIza-0123"),
            (&hmac, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),
            (&hmac, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA=="),
        ] {
            assert_eq!(scheme.check_secret(secret), Ok(()), "{scheme:?}");
        }
    }

    #[test]
    fn keys_are_names() {
        for key in ["crm", "crm-2", "a_b", "7"] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "-a", "A", "a b", "ä", "{{ x }}"] {
            assert!(!is_key(key), "{key}");
        }
        assert!(!is_key(&"a".repeat(65)));
    }
}
