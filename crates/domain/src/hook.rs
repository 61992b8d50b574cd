//! Webhooks: addresses at which other systems tell what happened, each with a way to prove who calls.

use crate::api_key::base64url;
use std::fmt;
use std::str::FromStr;

/// The type of the event that a call becomes.
pub const EVENT_TYPE: &str = "webhook.received";
/// What every id begins with.
const BEGINNING: &str = "hk_";
/// Random characters after it: 24 bytes in base64url.
const CHARACTERS: usize = 32;
/// Most headers that a webhook may let through.
const MOST_HEADERS: usize = 32;
/// Longest name of a header, in bytes.
const MOST_HEADER_BYTES: usize = 64;
/// Headers that prove who calls or who is logged in: they are never part of an event.
const SECRET_HEADERS: [&str; 6] =
    ["authorization", "cookie", "proxy-authorization", "webhook-signature", "webhook-token", "set-cookie"];

/// The field that a webhook's secrets are sealed for.
pub const SECRET_FIELD: &str = "hook_secret";

/// Headers that a webhook lets into its events when nothing else is said.
pub const DEFAULT_HEADERS: [&str; 2] = ["content-type", "user-agent"];

/// What the address of a webhook ends in: too random to be guessed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HookId(String);

impl HookId {
    /// Makes an id of random bytes.
    pub fn from_random(bytes: &[u8; 24]) -> Self {
        Self(format!("{BEGINNING}{}", base64url(bytes)))
    }

    /// Reads an id; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(BEGINNING)?;
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (random.len() == CHARACTERS && random.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }

    /// The id as it stands in the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The source of its events, which with their ids makes them known.
    pub fn event_source(&self) -> String {
        format!("/v1/hooks/{}", self.0)
    }
}

impl fmt::Display for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a caller proves who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verification {
    /// By a signature over id, time and body, as Standard Webhooks says.
    Standard,
    /// By showing a token; for systems that cannot sign.
    Token,
}

impl Verification {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Token => "token",
        }
    }
}

impl FromStr for Verification {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "standard" => Ok(Self::Standard),
            "token" => Ok(Self::Token),
            _ => Err(format!("\"{text}\" is no way to verify calls: standard or token")),
        }
    }
}

/// Checks the headers that a webhook is to let through, and gives them in lower case, each once.
///
/// # Errors
///
/// The rule that one of them breaks.
pub fn allowed_headers<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        let name = header_name(name)?;
        if SECRET_HEADERS.contains(&name.as_str()) {
            return Err(format!("the header {name} carries a secret and is never part of an event"));
        }
        if !all.contains(&name) {
            all.push(name);
        }
    }
    if all.len() > MOST_HEADERS {
        return Err(format!("{} headers are too many; at most {MOST_HEADERS} are let through", all.len()));
    }
    all.sort_unstable();
    Ok(all)
}

fn header_name(name: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=MOST_HEADER_BYTES).contains(&name.len()) && name.bytes().all(is_token) {
        return Ok(name.to_ascii_lowercase());
    }
    Err(format!("\"{name}\" is no name of a header: letters, digits, - and _, at most {MOST_HEADER_BYTES}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        let id = HookId::from_random(&[9; 24]);
        assert_eq!(HookId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.event_source(), format!("/v1/hooks/{id}"));
        for text in ["", "hk_", &id.as_str()[1..], &format!("{id}a"), "hk_../../../../../../../../etc/pass"] {
            assert_eq!(HookId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn headers_with_secrets_are_never_let_through() {
        assert_eq!(
            allowed_headers(["X-GitHub-Event", "x-github-event", "A"]),
            Ok(vec!["a".into(), "x-github-event".into()])
        );
        for bad in ["Cookie", "AUTHORIZATION", "webhook-signature", "a b", "", "a:"] {
            assert!(allowed_headers([bad]).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..33).map(|number| format!("h{number}")).collect();
        assert!(allowed_headers(many.iter().map(String::as_str)).is_err());
        assert!(allowed_headers(DEFAULT_HEADERS).is_ok());
    }
}
