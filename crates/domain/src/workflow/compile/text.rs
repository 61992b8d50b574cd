//! From a file's text to JSON: YAML or JSON, bounded before anything is built from it.

use super::numbers;
use crate::encoding;
use crate::json::{self, Fault, JsonError};
use crate::limits::Limits;
use crate::problem::Problem;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads one document: JSON if it begins with `{`, else YAML.
pub(super) fn read(text: &str, limits: &Limits) -> Result<Value, Problem> {
    check_size(text.len(), limits)?;
    let text = encoding::text_without_mark(text);
    if text.trim_start().starts_with('{') {
        return json::parse(text.as_bytes(), limits.json_depth).map_err(unreadable);
    }
    let mut budget = limits.definition_bytes;
    let value = Node { budget: &mut budget, depth: limits.json_depth }
        .deserialize(yaml_serde::Deserializer::from_str(text))
        .map_err(|error| Problem::new("bad_document", "", not_yaml(&error.to_string())))?;
    numbers::check(text, &value)?;
    Ok(value)
}

/// Inside `{ … }` and `[ … ]`, a text without quotes ends at a bracket, and the parser says what it missed behind it.
fn not_yaml(error: &str) -> String {
    let hint = if error.contains("flow mapping") || error.contains("flow sequence") {
        "; inside { } and [ ], a text that has brackets, braces or commas in it needs quotes: \"items[0].price\""
    } else {
        ""
    };
    format!("not valid YAML: {error}{hint}")
}

fn unreadable(error: JsonError) -> Problem {
    let code = if matches!(error.fault, Fault::Number(_)) { "number_not_exact" } else { "bad_document" };
    Problem::new(code, error.path, error.fault.to_string())
}

pub(super) fn check_size(size: usize, limits: &Limits) -> Result<(), Problem> {
    if size <= limits.definition_bytes {
        return Ok(());
    }
    let message = format!("a definition may have at most {} bytes; this has {size}", limits.definition_bytes);
    Err(Problem::new("definition_too_large", "", message))
}

/// Builds JSON from YAML and pays for every value out of a budget: aliases of aliases, which make gigabytes of a few
/// lines, run out of it.
struct Node<'a> {
    budget: &'a mut usize,
    depth: usize,
}

impl Node<'_> {
    fn pay<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        match self.budget.checked_sub(bytes) {
            Some(left) => *self.budget = left,
            None => return Err(E::custom("with its aliases written out, the document is too large")),
        }
        Ok(())
    }

    fn inner<E: Error>(&mut self) -> Result<Node<'_>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Node { budget: self.budget, depth }),
            None => Err(E::custom("nested too deep")),
        }
    }

    fn string<E: Error>(&mut self, text: &str) -> Result<String, E> {
        self.pay(text.len())?;
        if text.contains('\0') {
            return Err(E::custom("a text contains the character U+0000, which cannot be stored"));
        }
        Ok(text.to_owned())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Value, D::Error> {
        self.pay(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// A whole number beyond 64 bits; its digits are checked when the whole is read.
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<Value, E> {
        self.string(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key_seed(self.inner()?)? {
            let Value::String(key) = key else {
                return Err(A::Error::custom(format!("the key {key} must be a text; put it in quotes")));
            };
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key \"{key}\" stands twice in one object")));
            }
            let value = members.next_value_seed(self.inner()?)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
