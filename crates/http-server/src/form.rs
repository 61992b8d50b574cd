//! Forms and queries: `application/x-www-form-urlencoded`, in the charset that its bytes are in, never guessed.

use crate::coding::Charset;
use automation_domain::event::envelope::Rejection;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Parameters by name; one that stands several times is a list. `what` is decoded is named when it cannot be.
///
/// # Errors
///
/// A refusal of what is not in its charset.
pub fn read(encoded: &[u8], charset: &Charset, what: &str) -> Result<Map<String, Value>, Rejection> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let mut part = || charset.part(&decoded(parts.next().unwrap_or_default()), what);
        let (name, value) = (part()?, part()?);
        all.entry(name).or_default().push(value);
    }
    Ok(all
        .into_iter()
        .map(|(name, mut values)| match (values.pop(), values.is_empty()) {
            (Some(only), true) => (name, Value::String(only)),
            (last, _) => (name, values.into_iter().chain(last).map(Value::String).collect()),
        })
        .collect())
}

/// `+` is a blank, `%20` a byte; what is not an escape stays as it is.
fn decoded(encoded: &[u8]) -> Vec<u8> {
    let digit = |at: usize| encoded.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::with_capacity(encoded.len()), 0);
    while let Some(byte) = encoded.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', _, _) => bytes.push(b' '),
            (_, _, _) => bytes.push(*byte),
        }
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(content_type: &str, encoded: &[u8]) -> Result<Value, Rejection> {
        read(encoded, &Charset::of(Some(content_type))?, "the form").map(Value::Object)
    }

    #[test]
    fn a_form_is_read_in_its_charset() {
        let form = |content_type: &str, encoded: &[u8]| form(content_type, encoded).unwrap();
        assert_eq!(
            form("f", b"a=1&b=%20+&a=%C3%A4&&c&d=x=y&e=100%"),
            json!({
                "a": ["1", "ä"], "b": "  ", "c": "", "d": "x=y", "e": "100%",
            })
        );
        assert_eq!(
            form("f; charset=windows-1252", b"name=J%FCrgen&price=%80"),
            json!({ "name": "Jürgen", "price": "€" })
        );
        assert_eq!(form("f; charset=shift_jis", b"a=%93%FA"), json!({ "a": "日" }));
        assert_eq!(form("f; charset=latin1", b"a=%FF%FEx"), json!({ "a": "ÿþx" }));
        assert_eq!(form("f; charset=latin1", b"a=%FF%FEx"), json!({ "a": "ÿþx" }));
        assert_eq!(form("f", b""), json!({}));
    }

    #[test]
    fn a_form_in_an_unnamed_charset_is_refused_and_not_mangled() {
        for (content_type, encoded) in
            [("f", &b"name=J%FCrgen"[..]), ("f", b"name=J\xfcrgen"), ("f; charset=no-such", b"a=1")]
        {
            let refusal = form(content_type, encoded).unwrap_err();
            assert_eq!(refusal.code, "unsupported_charset", "{}", refusal.detail);
        }
    }
}
