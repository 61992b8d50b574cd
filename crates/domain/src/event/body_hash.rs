//! What tells a repeated event from a conflicting one.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 over type, subject and canonical data, each preceded by its length.
///
/// Canonical data is compact JSON with the keys of every object in byte order.
pub fn body_hash(event_type: &str, subject: Option<&str>, data: &Value) -> [u8; 32] {
    let mut canonical = Vec::with_capacity(256);
    write(data, &mut canonical);
    let mut hasher = Sha256::new();
    for part in [event_type.as_bytes(), subject.unwrap_or_default().as_bytes(), &canonical] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Sorts by itself: whether `serde_json` keeps objects sorted depends on a feature that any crate may switch on.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => scalar(value, out),
        Value::String(text) => scalar(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                scalar(key, out);
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
    }
}

fn scalar(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a scalar always serialises and a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_of_keys_and_white_space_do_not_matter() {
        let one = serde_json::from_str(r#"{"b":[1,{"y":1,"x":"é\""}],"a":null}"#).unwrap();
        let other = serde_json::from_str(r#"{ "a": null, "b": [1, {"x": "\u00e9\"", "y": 1}] }"#).unwrap();
        assert_eq!(body_hash("a.b", Some("s"), &one), body_hash("a.b", Some("s"), &other));
    }

    #[test]
    fn canonical_form_is_compact_json() {
        let mut out = Vec::new();
        write(&json!({"b": [1, 2.5, true], "a": {"k\n": "v"}}), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":{"k\n":"v"},"b":[1,2.5,true]}"#);
    }

    #[test]
    fn every_part_matters_and_parts_are_told_apart() {
        let base = body_hash("a.b", Some("c"), &json!({}));
        assert_ne!(base, body_hash("a.bc", None, &json!({})));
        assert_ne!(base, body_hash("a.b", Some("d"), &json!({})));
        assert_ne!(base, body_hash("a.b", Some("c"), &json!({"x": 1})));
    }
}
