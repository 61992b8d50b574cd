//! Secrets that nothing else looks like, and every form in which one could lie about.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use uuid::Uuid;

/// Shortest part of a secret that is looked for by itself.
const PART: usize = 10;

/// A secret by the name that a finding is reported under.
#[derive(Clone)]
pub struct Canary {
    pub name: String,
    pub text: String,
    needles: Vec<String>,
}

impl Canary {
    /// A new secret for headers, passwords and the like: two words with characters between that every encoding changes.
    pub fn new(name: &str) -> Self {
        let word = || Uuid::new_v4().simple().to_string();
        Self::of(name, &format!("Cnry{}/+&\"<~={}", &word()[..14], &word()[..14]))
    }

    /// A new secret that signs, as Standard Webhooks writes it. Its key in the clear is looked for as well.
    pub fn signing(name: &str) -> Self {
        let key = format!("Sign{}", Uuid::new_v4().simple());
        let mut canary = Self::of(name, &format!("whsec_{}", STANDARD.encode(&key)));
        canary.needles.extend(Self::of(name, &key).needles);
        canary
    }

    /// A secret that was made elsewhere.
    pub fn of(name: &str, text: &str) -> Self {
        // Each half by itself: a secret that was cut, or has another character escaped, is still one.
        let is_apart = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
        let mut parts: Vec<&str> = text.split(is_apart).filter(|part| part.len() >= PART).collect();
        if parts.is_empty() {
            parts.push(text);
        }
        let needles: BTreeSet<String> = parts.into_iter().flat_map(forms).collect();
        Self { name: name.to_owned(), text: text.to_owned(), needles: needles.into_iter().collect() }
    }

    /// Whether any form of it is in this text.
    pub fn is_in(&self, haystack: &str) -> Option<&str> {
        self.needles.iter().map(String::as_str).find(|needle| haystack.contains(needle))
    }

    /// The secret in a URL's user part or query.
    pub fn percent_encoded(&self) -> String {
        percent(&self.text, |byte| !byte.is_ascii_alphanumeric())
    }

    /// How a server could say a secret back.
    pub fn echoes(text: &str) -> Vec<(&'static str, String)> {
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        vec![
            ("plain", text.to_owned()),
            ("base64", STANDARD.encode(text)),
            ("base64url", URL_SAFE.encode(text)),
            ("base64-within", STANDARD.encode(format!("pw={text}"))),
            ("percent", percent(text, |byte| !byte.is_ascii_alphanumeric())),
            ("percent-lower", percent(text, |byte| !byte.is_ascii_alphanumeric()).to_lowercase_escapes()),
            ("percent-all", percent(text, |_| true)),
            ("hex", hex(text)),
            ("hex-upper", hex(text).to_ascii_uppercase()),
            ("json-slash", text.replace('"', "\\\"").replace('/', "\\/")),
            ("html", html),
        ]
    }
}

fn forms(part: &str) -> Vec<String> {
    let mut forms = vec![
        part.to_owned(),
        part.to_ascii_lowercase(),
        hex(part),
        hex(part).to_ascii_uppercase(),
        percent(part, |_| true),
        percent(part, |_| true).to_lowercase_escapes(),
    ];
    for shift in 0..3 {
        let bytes = [&[0_u8; 2][..shift.min(2)], part.as_bytes()].concat();
        // What lies beside it shares characters with its ends.
        let (first, last) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes)] {
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn percent(text: &str, encoded: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        if encoded(byte) {
            let _ = write!(url, "%{byte:02X}");
        } else {
            url.push(byte.into());
        }
        url
    })
}

trait LowercaseEscapes {
    fn to_lowercase_escapes(&self) -> String;
}

impl LowercaseEscapes for String {
    /// `%2F` as `%2f`; other letters stay.
    fn to_lowercase_escapes(&self) -> String {
        let mut lower = String::new();
        let mut rest = self.as_str();
        while let Some(at) = rest.find('%') {
            let end = (at + 3).min(rest.len());
            lower.push_str(&rest[..at]);
            lower.push_str(&rest[at..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
        lower + rest
    }
}
