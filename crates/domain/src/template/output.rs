//! From values to text and JSON, each byte charged before it is written.

use super::Failure;
use super::value::{Text, Val};
use crate::budget::{Budget, Exceeded};
use serde_json::{Map, Value};
use std::io;

/// Deepest nesting of what a template comes to. It is stored within documents whose parser stops at 128 levels.
pub(super) const MAX_RESULT_DEPTH: u32 = 96;

/// What a value of JSON is charged besides its text.
const VALUE_BYTES: usize = 8;

/// A text in the making.
pub(super) struct Output<'b> {
    budget: &'b Budget,
    text: String,
    limit: usize,
}

impl<'b> Output<'b> {
    pub(super) fn new(budget: &'b Budget) -> Self {
        Self { budget, text: String::new(), limit: usize::MAX }
    }

    /// A text that may have no more bytes than this.
    pub(super) fn limited(budget: &'b Budget, limit: usize) -> Self {
        Self { limit, ..Self::new(budget) }
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), Failure> {
        if self.text.len().saturating_add(text.len()) > self.limit {
            return Err(too_long(self.limit));
        }
        self.budget.make(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Writes a value by the rule of [`crate::text`].
    pub(super) fn value(&mut self, value: &Val<'_>) -> Result<(), Failure> {
        match value {
            Val::Nothing => Ok(()),
            Val::Text(text) => self.push(text),
            Val::Bool(_) | Val::Number(_) | Val::List(_) | Val::Object(_) => self.json(value),
        }
    }

    /// Writes a value as compact JSON.
    pub(super) fn json(&mut self, value: &Val<'_>) -> Result<(), Failure> {
        match value {
            Val::Nothing => self.push("null"),
            Val::Bool(true) => self.push("true"),
            Val::Bool(false) => self.push("false"),
            Val::Number(number) => self.push(&number.to_json().to_string()),
            Val::Text(text) => self.json_text(text),
            Val::List(list) => {
                self.push("[")?;
                for (index, item) in list.iter().enumerate() {
                    self.push(if index > 0 { "," } else { "" })?;
                    self.json(&item)?;
                }
                self.push("]")
            }
            Val::Object(object) => {
                self.push("{")?;
                for (index, (key, member)) in object.iter().enumerate() {
                    self.push(if index > 0 { "," } else { "" })?;
                    self.json_text(&key)?;
                    self.push(":")?;
                    self.json(&member)?;
                }
                self.push("}")
            }
        }
    }

    fn json_text(&mut self, text: &str) -> Result<(), Failure> {
        let mut writer = Writer { output: self, failure: None };
        let written = serde_json::to_writer(&mut writer, text);
        match (writer.failure, written) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(Failure::Failed(error.to_string())),
            (None, Ok(())) => Ok(()),
        }
    }
}

pub(super) fn too_long(limit: usize) -> Failure {
    Failure::Failed(format!("the template comes to more than {limit} bytes"))
}

/// Lets a serializer write, and keeps why it could not.
struct Writer<'o, 'b> {
    output: &'o mut Output<'b>,
    failure: Option<Failure>,
}

impl io::Write for Writer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only pieces of texts are written, cut between characters.
        let written = self.output.push(&String::from_utf8_lossy(bytes));
        self.failure = written.err();
        if self.failure.is_some() { Err(io::ErrorKind::Other.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of a value by the rule of [`crate::text`].
pub(super) fn text<'a>(value: &Val<'a>, budget: &Budget) -> Result<Text<'a>, Failure> {
    match value {
        Val::Nothing => Ok(Text::Borrowed("")),
        Val::Text(text) => Ok(text.clone()),
        Val::Bool(_) | Val::Number(_) | Val::List(_) | Val::Object(_) => {
            let mut output = Output::new(budget);
            output.value(value)?;
            Ok(Text::Made(output.finish().into()))
        }
    }
}

/// A value as JSON, at `depth` within what it becomes a part of.
pub(super) fn to_json(value: &Val<'_>, budget: &Budget, depth: u32) -> Result<Value, Exceeded> {
    budget.make(VALUE_BYTES)?;
    budget.nest(depth, MAX_RESULT_DEPTH)?;
    Ok(match value {
        Val::Nothing => Value::Null,
        Val::Bool(value) => Value::Bool(*value),
        Val::Number(number) => Value::Number(number.to_json()),
        Val::Text(text) => {
            budget.make(text.len())?;
            Value::String(text.to_string())
        }
        Val::List(list) => {
            let items = list.iter().map(|item| to_json(&item, budget, depth + 1));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Val::Object(object) => {
            let mut members = Map::new();
            for (key, member) in object.iter() {
                budget.make(key.len())?;
                members.insert(key.to_string(), to_json(&member, budget, depth + 1)?);
            }
            Value::Object(members)
        }
    })
}

/// A copy of JSON that a definition holds, with the same charge.
pub(super) fn copy(value: &Value, budget: &Budget) -> Result<Value, Exceeded> {
    charge(value, budget)?;
    Ok(value.clone())
}

fn charge(value: &Value, budget: &Budget) -> Result<(), Exceeded> {
    let text = match value {
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => 0,
    };
    budget.make(VALUE_BYTES + text)?;
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| charge(item, budget)),
        Value::Object(members) => members.iter().try_for_each(|(key, member)| {
            budget.make(key.len())?;
            charge(member, budget)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}
