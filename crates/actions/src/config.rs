//! Reading a rendered configuration.

use automation_domain::action::{Literals, StepContext};
use automation_domain::contact::Contact;
use automation_domain::interpreter::StepError;
use automation_domain::step_code::StepCode;
use automation_domain::{json, text};
use serde_json::Value;
use std::borrow::Cow;

/// Longest tag, in characters.
pub(crate) const TAG_CHARS: usize = 128;
/// Longest title, in characters; names of people too.
pub(crate) const TITLE_CHARS: usize = 512;
/// Longest text, in bytes; the largest value of a field, in bytes of JSON.
pub(crate) const TEXT_BYTES: usize = 64 * 1024;

/// How long a text may be.
#[derive(Clone, Copy)]
pub(crate) enum Max {
    Chars(usize),
    Bytes(usize),
}

/// A text that must be there. Numbers and booleans count as text: a template that is one expression keeps its type.
pub(crate) fn text<'a>(config: &'a Value, key: &str, max: Max) -> Result<Cow<'a, str>, StepError> {
    optional_text(config, key, max)?.ok_or_else(|| invalid(format!("{key} is empty")))
}

/// A text that may be missing, null or blank.
pub(crate) fn optional_text<'a>(
    config: &'a Value,
    key: &str,
    max: Max,
) -> Result<Option<Cow<'a, str>>, StepError> {
    let text = match config.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Cow::Borrowed(text.trim()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => text::of(value),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Err(invalid(format!("{key} must be text, not a list or an object")));
        }
    };
    if text.is_empty() {
        return Ok(None);
    }
    check_length(&text, key, max)?;
    if text.contains('\0') {
        return Err(invalid(format!("{key} contains the character U+0000, which cannot be stored")));
    }
    Ok(Some(text))
}

/// What `read` says against a member that holds no template; nothing where it is missing or a template.
pub(crate) fn check(
    literals: &Literals,
    key: &'static str,
    read: impl FnOnce(&Value) -> Result<(), StepError>,
) -> Vec<(&'static str, String)> {
    if !literals.knows(key) {
        return Vec::new();
    }
    read(&literals.known).err().map(|error| (key, error.message)).into_iter().collect()
}

/// The contact that the step is about.
pub(crate) fn contact<'a>(step: &StepContext<'a>) -> Result<&'a Contact, StepError> {
    step.facts.contact.ok_or_else(|| StepError {
        code: StepCode::NoContact.into(),
        message: "the step needs a contact, and the run has none".to_owned(),
    })
}

/// Refuses a value that could not be stored.
pub(crate) fn check_value(value: &Value, key: &str) -> Result<(), StepError> {
    if json::has_nul(value) {
        return Err(invalid(format!("{key} contains the character U+0000, which cannot be stored")));
    }
    let size = json::size_bytes(value);
    if size > TEXT_BYTES {
        return Err(invalid(format!("{key} has {size} bytes; at most {TEXT_BYTES} are allowed")));
    }
    Ok(())
}

pub(crate) fn invalid(message: String) -> StepError {
    StepError { code: StepCode::InvalidConfig.into(), message }
}

fn check_length(text: &str, key: &str, max: Max) -> Result<(), StepError> {
    let (length, limit, unit) = match max {
        // Characters are only counted when there could be too many.
        Max::Chars(limit) if text.len() <= limit => return Ok(()),
        Max::Chars(limit) => (text.chars().count(), limit, "characters"),
        Max::Bytes(limit) => (text.len(), limit, "bytes"),
    };
    if length > limit {
        return Err(invalid(format!("{key} has {length} {unit}; at most {limit} are allowed")));
    }
    Ok(())
}
