//! JSON from outside, read strictly: what Postgres cannot hold or people cannot mean is refused.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// Deepest nesting that can be asked for: the parser's own guard against exhausting the stack stands behind it.
pub const MAX_DEPTH: usize = 126;

/// Why a text is not acceptable JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or a number out of range, or a lone surrogate.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// The same key twice in one object.
    #[error("the key \"{0}\" stands twice in one object")]
    DuplicateKey(String),
    /// `\u0000` in a string or key.
    #[error("a string contains the character U+0000, which cannot be stored")]
    Nul,
    /// Nested too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}

/// Reads `bytes` as JSON no deeper than `max_depth` (at most [`MAX_DEPTH`]); a bare scalar has depth 0, `[]` depth 1.
///
/// One pass. Integers beyond 64 bits become floating-point numbers; numbers beyond those are refused.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    let limit = max_depth.min(MAX_DEPTH);
    let found = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Strict { found: &found, limit, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| found.take().unwrap_or_else(|| JsonError::Syntax(error.to_string())))
}

/// Whether a string anywhere in `value`, keys included, holds U+0000, which Postgres cannot store.
pub fn has_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
    }
}

/// Length of `value` as compact JSON text, without building it.
pub fn size_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("a JSON value has string keys and counting cannot fail");
    count.0
}

/// Builds a [`Value`], and leaves word of what it refused: the parser's own error type can only carry text.
#[derive(Clone, Copy)]
struct Strict<'f> {
    found: &'f RefCell<Option<JsonError>>,
    limit: usize,
    depth: usize,
}

impl Strict<'_> {
    fn refuse<E: de::Error>(&self, error: JsonError) -> E {
        let custom = E::custom(&error);
        self.found.replace(Some(error));
        custom
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth < self.limit {
            Ok(Self { depth: self.depth + 1, ..self })
        } else {
            Err(self.refuse(JsonError::TooDeep { limit: self.limit }))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(self.refuse(JsonError::Nul));
        }
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if key.contains('\0') {
                return Err(self.refuse(JsonError::Nul));
            }
            match members.entry(key) {
                Entry::Vacant(slot) => slot.insert(access.next_value_seed(inner)?),
                Entry::Occupied(slot) => return Err(self.refuse(JsonError::DuplicateKey(slot.key().clone()))),
            };
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nested(depth: usize) -> Vec<u8> {
        [vec![b'['; depth], vec![b']'; depth]].concat()
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused: [(&[u8], &str); 14] = [
            (b"", "EOF"),
            (b"{\"a\":1}{}", "trailing"),
            (b"{\"a\":1,}", "trailing comma"),
            (b"[1e400]", "out of range"),
            (b"[-1e400]", "out of range"),
            (b"[NaN]", "expected"),
            (br#"["\ud800"]"#, "hex escape"),
            (br#"["\udc00"]"#, "surrogate"),
            (br#"{"\ud800":1}"#, "hex escape"),
            (b"[\"\xff\"]", "unicode"),
            (br#"["\u0000"]"#, "U+0000"),
            (br#"{"\u0000":1}"#, "U+0000"),
            (br#"{"a":{"b":1,"b":1}}"#, "\"b\" stands twice"),
            (br#"{"a":1,"\u0061":2}"#, "\"a\" stands twice"),
        ];
        for (text, reason) in refused {
            let error = parse(text, 64).expect_err(&String::from_utf8_lossy(text)).to_string();
            assert!(error.contains(reason), "{}: {error}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn depth_counts_arrays_and_objects() {
        assert!(parse(&nested(64), 64).is_ok());
        assert_eq!(parse(&nested(65), 64), Err(JsonError::TooDeep { limit: 64 }));
        assert_eq!(parse(br#"{"a":{"b":{}}}"#, 2), Err(JsonError::TooDeep { limit: 2 }));
        assert_eq!(parse(b"1", 0), Ok(Value::from(1)));
    }

    #[test]
    fn a_million_brackets_do_not_exhaust_the_stack() {
        assert_eq!(parse(&nested(1_000_000), usize::MAX), Err(JsonError::TooDeep { limit: MAX_DEPTH }));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, 64);
        }

        #[test]
        fn what_is_accepted_is_what_serde_json_reads(text in r#"[\[\]{}",:0-9a-c.e\\u -]{0,40}"#) {
            if let Ok(value) = parse(text.as_bytes(), 64) {
                prop_assert_eq!(&value, &serde_json::from_str::<Value>(&text).unwrap());
                prop_assert_eq!(size_bytes(&value), serde_json::to_vec(&value).unwrap().len());
            }
        }
    }
}
