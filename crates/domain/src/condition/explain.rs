//! What a condition came to and why, in a bounded number of bytes.

use crate::budget::{Budget, Exceeded};
use crate::json;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{self, Write};

/// What a condition came to, and why.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Explained {
    /// Whether it holds.
    pub holds: bool,
    /// Each comparison of the condition, in order; none is left out because another one decided already.
    pub comparisons: Vec<Comparison>,
    /// Comparisons that are left out because there was no room for them: see [`crate::budget::LOG_BYTES`].
    pub left_out: usize,
}

/// One comparison with both its values.
///
/// A value of more than [`COMPARED_BYTES`] is cut: the beginning of its text stands for it.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Comparison {
    /// The field's path.
    pub field: String,
    /// Operator key.
    pub op: String,
    /// What the field held; null when missing.
    pub actual: Value,
    /// Bytes of what the field held, when `actual` is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_bytes: Option<usize>,
    /// What it was compared with.
    pub expected: Value,
    /// Bytes of what it was compared with, when `expected` is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_bytes: Option<usize>,
    /// The result.
    pub holds: bool,
    /// Of a figure over past events, what it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// What a figure over past events is of.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Counted {
    /// Beginning of the window, RFC 3339.
    pub from: String,
    /// Its end.
    pub until: String,
    /// Events that were counted.
    pub events: u64,
    /// Those of them that have no number there.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// Events in the window of which a value that is asked for is too long to be kept, and counts as missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_kept: u64,
    /// Whether there were more events than are looked at.
    #[serde(skip_serializing_if = "is_not")]
    pub at_least: bool,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_not(flag: &bool) -> bool {
    !*flag
}

/// Longest value in a [`Comparison`], in bytes of its text or its JSON.
pub const COMPARED_BYTES: usize = 1024;

/// Stands at the end of what was cut.
const CUT: &str = "…";

impl Explained {
    /// Keeps a comparison if there is room for it, and counts it if not.
    pub(super) fn keep(&mut self, comparison: Comparison, budget: &Budget) -> Result<(), Exceeded> {
        let Comparison { field, op, actual, expected, .. } = &comparison;
        let bytes = size_of::<Comparison>()
            + field.len()
            + op.len()
            + json::size_bytes(actual)
            + json::size_bytes(expected);
        if budget.log(bytes)? {
            self.comparisons.push(comparison);
        } else {
            self.left_out += 1;
        }
        Ok(())
    }
}

/// A value as a comparison keeps it, and its bytes if it is cut.
pub(super) fn cut(value: Cow<'_, Value>, budget: &Budget) -> Result<(Value, Option<usize>), Exceeded> {
    let (begins, bytes) = match &*value {
        Value::Null | Value::Bool(_) | Value::Number(_) => return Ok((value.into_owned(), None)),
        Value::String(text) if text.len() <= COMPARED_BYTES => return Ok((value.into_owned(), None)),
        Value::String(text) => (text[..text.floor_char_boundary(COMPARED_BYTES)].to_owned(), text.len()),
        Value::Array(_) | Value::Object(_) => {
            let (begins, bytes) = beginning(&value, budget)?;
            if bytes <= COMPARED_BYTES {
                return Ok((value.into_owned(), None));
            }
            (begins, bytes)
        }
    };
    Ok((Value::String(begins + CUT), Some(bytes)))
}

/// The beginning of a value's JSON, and how many bytes all of it has.
fn beginning(value: &Value, budget: &Budget) -> Result<(String, usize), Exceeded> {
    let mut written = Beginning { begins: Vec::new(), bytes: 0, charged: 0, budget, exceeded: None };
    let result = serde_json::to_writer(&mut written, value);
    if let Some(exceeded) = written.exceeded {
        return Err(exceeded);
    }
    result.expect("a JSON value has string keys, and what is written is kept or counted");
    let Beginning { mut begins, bytes, .. } = written;
    if let Err(error) = std::str::from_utf8(&begins) {
        begins.truncate(error.valid_up_to());
    }
    Ok((String::from_utf8_lossy(&begins).into_owned(), bytes))
}

/// Keeps the first bytes and counts all of them.
struct Beginning<'b> {
    begins: Vec<u8>,
    bytes: usize,
    charged: usize,
    budget: &'b Budget,
    exceeded: Option<Exceeded>,
}

impl Write for Beginning<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        // JSON is written in small pieces; a charge for each would come to many times what they cost.
        let uncharged = self.bytes - self.charged;
        if uncharged >= COMPARED_BYTES {
            self.charged = self.bytes;
            if let Err(exceeded) = self.budget.look_at(uncharged) {
                self.exceeded = Some(exceeded);
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        let room = COMPARED_BYTES - self.begins.len();
        self.begins.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cut_of(value: Value) -> (Value, Option<usize>) {
        cut(Cow::Owned(value), &Budget::default()).unwrap()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        for value in [json!(null), json!(80.5), json!("x".repeat(COMPARED_BYTES)), json!({ "a": [1, 2] })] {
            assert_eq!(cut_of(value.clone()), (value, None));
        }
    }

    #[test]
    fn what_does_not_fit_begins_alike_and_says_how_much_there_was() {
        let (begins, bytes) = cut_of(json!("ä".repeat(1_000)));
        assert_eq!((begins, bytes), (json!("ä".repeat(COMPARED_BYTES / 2) + "…"), Some(2_000)));
        let list: Value = (0..100_000).collect();
        let whole = list.to_string();
        let (begins, bytes) = cut_of(list);
        assert_eq!((begins, bytes), (json!(format!("{}…", &whole[..COMPARED_BYTES])), Some(whole.len())));
        // A character that the cut would part is left away.
        let (begins, _) = cut_of(json!(["a".repeat(COMPARED_BYTES - 3), "ä"]));
        assert!(begins.as_str().unwrap().len() <= COMPARED_BYTES + "…".len());
    }

    #[test]
    fn counting_a_large_value_is_charged() {
        let budget = Budget::default();
        let list: Value = (0..100_000).collect();
        cut(Cow::Borrowed(&list), &budget).unwrap();
        assert!(budget.spent_steps() > 5_000 && budget.spent_steps() < 20_000, "{}", budget.spent_steps());
    }
}
