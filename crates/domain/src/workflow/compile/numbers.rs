//! Numbers of a YAML file, checked by their digits: what YAML gives is a double already, or text where that is infinite.

use crate::json::{Fault, number};
use crate::problem::Problem;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Refuses the first number of `document` of which something would be lost; `value` is what it was read as.
pub(super) fn check(document: &str, value: &Value) -> Result<(), Problem> {
    let mut lost = None;
    let numbers = Numbers { document, value, path: String::new(), lost: &mut lost };
    let read = numbers.deserialize(yaml_serde::Deserializer::from_str(document));
    match (lost, read) {
        (Some(problem), _) => Err(problem),
        (None, Err(error)) => Err(Problem::new("bad_document", "", format!("not valid YAML: {error}"))),
        (None, Ok(())) => Ok(()),
    }
}

/// Reads the document again along the value that it became, and scalars as they are written.
struct Numbers<'a, 'l> {
    document: &'a str,
    value: &'a Value,
    path: String,
    lost: &'l mut Option<Problem>,
}

impl<'a> Numbers<'a, '_> {
    fn inner(&mut self, value: &'a Value, path: String) -> Numbers<'a, '_> {
        Numbers { document: self.document, value, path, lost: self.lost }
    }

    fn refuse<E: Error>(self, written: &str) -> E {
        let fault = Fault::number(written);
        let error = E::custom(&fault);
        *self.lost = Some(Problem::new("number_not_exact", self.path, fault.to_string()));
        error
    }

    /// Whether a text stands in quotes, by the byte before it.
    fn is_quoted(&self, text: &str) -> bool {
        let begin = text.as_ptr().addr().checked_sub(self.document.as_ptr().addr());
        let before =
            begin.and_then(|begin| begin.checked_sub(1)).and_then(|at| self.document.as_bytes().get(at));
        before.is_some_and(|before| matches!(before, b'"' | b'\''))
    }
}

impl<'de> DeserializeSeed<'de> for Numbers<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.value {
            Value::Null | Value::Bool(_) => IgnoredAny::deserialize(deserializer).map(|_| ()),
            Value::Number(_) | Value::String(_) => deserializer.deserialize_str(self),
            Value::Array(_) => deserializer.deserialize_seq(self),
            Value::Object(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Numbers<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same value again")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        let overflows =
            || text.parse::<f64>().is_ok_and(f64::is_infinite) && text.contains(|c: char| c.is_ascii_digit());
        if self.value.is_string() && overflows() && !self.is_quoted(text) {
            return Err(self.refuse(text));
        }
        self.visit_str(text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.value.is_f64() && !number::is_kept(text.trim_start_matches('+')) {
            return Err(self.refuse(text));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        for (index, value) in self.value.as_array().into_iter().flatten().enumerate() {
            let path = format!("{}[{index}]", self.path);
            items.next_element_seed(self.inner(value, path))?;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            match self.value.get(&key) {
                Some(value) => {
                    let dot = if self.path.is_empty() { "" } else { "." };
                    let path = format!("{}{dot}{key}", self.path);
                    members.next_value_seed(self.inner(value, path))?;
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
