//! JSON from outside, read strictly: what Postgres cannot hold, people cannot mean or a number cannot keep is refused.

pub mod number;

mod place;
mod strict;

use crate::encoding::{self, Foreign};
pub(crate) use place::string_end;

use serde_json::Value;
use std::fmt;
use strict::{Notes, Strict};

/// Deepest nesting that can be asked for: the parser's own guard against exhausting the stack stands behind it.
pub const MAX_DEPTH: usize = 126;

/// Why a text is not acceptable JSON, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonError {
    /// The path to it: `data.items[3].name`; empty for the text as a whole.
    pub path: String,
    /// What is wrong there.
    pub fault: Fault,
}

impl JsonError {
    /// The same, where the text is itself the member `name` of something.
    pub fn below(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, dot);
        self.path.insert_str(0, name);
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { self.fault.fmt(f) } else { write!(f, "{}: {}", self.path, self.fault) }
    }
}

impl std::error::Error for JsonError {}

/// What can be wrong with a JSON text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Not JSON, or a lone surrogate.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Nothing, or nothing but white space.
    #[error("not valid JSON: there is nothing")]
    Empty,
    /// Not UTF-8, but something that is known.
    #[error("not valid JSON: {0}")]
    Foreign(Foreign),
    /// The same key twice in one object.
    #[error("the key \"{0}\" stands twice in one object")]
    DuplicateKey(String),
    /// `\u0000` in a string or key.
    #[error("a string contains the character U+0000, which cannot be stored")]
    Nul,
    /// A number of which something would be lost ([`number`]).
    #[error(
        "the number {0} cannot be kept exactly: whole numbers have at most 64 bits, others at most 17 digits within the \
         range of a double; write it as a string"
    )]
    Number(String),
    /// Nested too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}

impl Fault {
    /// Builds [`Fault::Number`] for a number as it was written, which may be of any length.
    pub fn number(written: &str) -> Self {
        match written.char_indices().nth(40) {
            Some((end, _)) => Self::Number(format!("{}…", &written[..end])),
            None => Self::Number(written.to_owned()),
        }
    }
}

/// Reads `bytes` as JSON no deeper than `max_depth` (at most [`MAX_DEPTH`]); a bare scalar has depth 0, `[]` depth 1.
///
/// A UTF-8 byte order mark in front is taken off. Every number keeps its value exactly ([`number`]).
///
/// # Errors
///
/// The first thing that is wrong, and where it stands.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    let text = encoding::without_mark(bytes);
    let notes = Notes::default();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict::new(&notes, max_depth.min(MAX_DEPTH))
        .read(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| explain(text, notes.take_fault(), &error))?;
    // Only a number that is no 64-bit integer can have lost something, and its digits stand in the text alone.
    let lost = if notes.has_double() { number::lossy(text).next() } else { None };
    match lost {
        Some(range) => {
            let fault = Fault::number(&String::from_utf8_lossy(&text[range.clone()]));
            Err(JsonError { path: place::path_at(text, range.start), fault })
        }
        None => Ok(value),
    }
}

/// Turns the parser's error into ours; `found` is what the visitor refused.
fn explain(text: &[u8], found: Option<Fault>, error: &serde_json::Error) -> JsonError {
    let offset = offset_of(text, error);
    let number = || {
        // The parser stops within or right behind a number that is out of range.
        let near = number::lossy(text).take_while(|range| range.start <= offset).last()?;
        (offset <= near.end).then(|| Fault::number(&String::from_utf8_lossy(&text[near])))
    };
    let foreign = || encoding::foreign(text).map(Fault::Foreign);
    let empty = || text.trim_ascii().is_empty().then_some(Fault::Empty);
    let syntax = || Fault::Syntax(error.to_string());
    let fault = found.or_else(empty).or_else(foreign).or_else(number).unwrap_or_else(syntax);
    let path = if matches!(fault, Fault::Foreign(_)) {
        String::new()
    } else {
        // The last byte that the parser looked at is the one that it does not like.
        place::path_at(text, offset.saturating_sub(1))
    };
    JsonError { path, fault }
}

/// How many bytes the parser had looked at.
fn offset_of(text: &[u8], error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + error.column()).min(text.len())
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

/// About how many bytes of memory `value` takes, which may be many times its text.
pub fn memory_bytes(value: &Value) -> usize {
    /// Of a member beside its key and value: its share of the nodes of a tree.
    const MEMBER: usize = size_of::<String>() + 16;
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.capacity(),
            Value::Array(items) => items.iter().map(memory_bytes).sum(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| MEMBER + key.len() + memory_bytes(value)).sum()
            }
        }
}

/// The beginning of `value` as JSON, for a message to a person: at most 100 bytes, and `…` where there was more.
pub fn excerpt(value: &Value) -> String {
    const BYTES: usize = 100;
    let mut text = value.to_string();
    if text.len() > BYTES {
        text.truncate(text.floor_char_boundary(BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Map;

    fn nested(depth: usize) -> Vec<u8> {
        [vec![b'['; depth], vec![b']'; depth]].concat()
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused: [(&[u8], &str); 14] = [
            (b"", "there is nothing"),
            (b"{\"a\":1}{}", "trailing"),
            (b"{\"a\":1,}", "trailing comma"),
            (b"[1e400]", "[0]: the number 1e400 cannot be kept exactly"),
            (b"[-1e400]", "[0]: the number -1e400 cannot be kept exactly"),
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
        assert_eq!(parse(&nested(65), 64).unwrap_err().fault, Fault::TooDeep { limit: 64 });
        let error = JsonError { path: "a.b".to_owned(), fault: Fault::TooDeep { limit: 2 } };
        assert_eq!(parse(br#"{"a":{"b":{}}}"#, 2), Err(error));
        assert_eq!(parse(b"1", 0), Ok(Value::from(1)));
    }

    #[test]
    fn a_million_brackets_do_not_exhaust_the_stack() {
        let error = parse(&nested(1_000_000), usize::MAX).unwrap_err();
        assert_eq!(error.fault, Fault::TooDeep { limit: MAX_DEPTH });
    }

    #[test]
    fn each_fault_is_found_where_it_stands() {
        for (text, path) in [
            ("{\n \"a\": [1, {\"b\": tru}]}", "a[1].b"),
            ("{\n \"a\": [1, {\"b\": 1e999}],\n \"c\": 1}", "a[1].b"),
            ("{\n \"a\": [1, {\"b\": 18446744073709551616}],\n \"c\": 1}", "a[1].b"),
            (r#"{"a":{"b":1,"c":[],"b":2}}"#, "a"),
            (r#"{"a":[[],["\u0000"]]}"#, "a[1][0]"),
            (r#"{"a":["ok","\ud800"]}"#, "a[1]"),
            (r#"{"a":{"b":1"#, "a.b"),
            (r#"{"a":1,}"#, ""),
            (r#"{"a":1} x"#, ""),
        ] {
            assert_eq!(parse(text.as_bytes(), 64).unwrap_err().path, path, "{text}");
        }
        let below = |text: &str| parse(text.as_bytes(), 64).unwrap_err().below("data").path;
        assert_eq!([below("[nul]"), below(r#"{"a":nul}"#), below("nul")], ["data[0]", "data.a", "data"]);
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_and_other_encodings_are_named() {
        assert_eq!(parse(b"\xef\xbb\xbf{}", 64), Ok(Value::Object(Map::new())));
        let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf16, 64).unwrap_err().fault, Fault::Foreign(Foreign::Charset("UTF-16LE")));
        assert_eq!(
            parse(b"\x1f\x8b\x08", 64).unwrap_err().fault,
            Fault::Foreign(Foreign::Compressed("gzip"))
        );
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
