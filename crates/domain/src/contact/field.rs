//! The fields of a contact that can be set by name: built-in ones (`email`) and the tenant's own (`fields.plan`).

use super::Contact;
use serde_json::Value;

/// The built-in fields, by the names used in `contact.<name>`.
pub const BUILT_IN: [&str; 7] = ["email", "phone", "first_name", "last_name", "timezone", "owner", "score"];

/// Most characters of an e-mail address: 64 before the @ and 255 behind it (RFC 5321).
const EMAIL_CHARS: usize = 320;
/// Most characters of the other built-in fields. What is indexed must fit a page of the index, whatever it holds.
const TEXT_CHARS: usize = 512;

/// Checks that `field` can be set to `value`; null clears and always fits.
///
/// # Errors
///
/// One sentence for a person.
pub fn check(field: &str, value: &Value) -> Result<(), String> {
    if let Some(name) = field.strip_prefix("fields.") {
        return if is_own_name(name) {
            Ok(())
        } else {
            Err(format!("\"{field}\" is not a field: a name is 1 to 64 of a-z, A-Z, 0-9, _ and -"))
        };
    }
    if !BUILT_IN.contains(&field) {
        return Err(format!(
            "\"{field}\" is not a field: use {} or fields.<name>{}",
            BUILT_IN.join(", "),
            crate::problem::nearest_hint(field, BUILT_IN),
        ));
    }
    match (field, value) {
        (_, Value::Null) | ("score", Value::Number(_)) => Ok(()),
        ("score", _) => Err("score takes a number".to_owned()),
        ("timezone", Value::String(zone)) if !is_timezone(zone) => {
            Err(format!("\"{zone}\" is not an IANA time zone"))
        }
        (_, Value::String(text)) if !fits(field, text) => {
            Err(format!("{field} takes at most {} characters", most_chars(field)))
        }
        (_, Value::String(_)) => Ok(()),
        (_, Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(format!("{field} takes a string"))
        }
    }
}

/// Sets a field and returns what it held before, null when nothing; `None` when nothing changes, because the field
/// holds the value already or cannot hold it.
pub(crate) fn replace(contact: &mut Contact, field: &str, value: &Value) -> Option<Value> {
    if let Some(name) = field.strip_prefix("fields.") {
        return replace_own(contact, name, value);
    }
    let slot = match field {
        "score" => return replace_score(contact, value),
        "timezone" if value.as_str().is_some_and(|zone| !is_timezone(zone)) => return None,
        "email" => &mut contact.email,
        "phone" => &mut contact.phone,
        "first_name" => &mut contact.first_name,
        "last_name" => &mut contact.last_name,
        "timezone" => &mut contact.timezone,
        "owner" => &mut contact.owner,
        _ => return None,
    };
    let new = match value {
        Value::Null => None,
        Value::String(text) if !fits(field, text) => return None,
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if slot.as_ref() == new {
        return None;
    }
    let old = std::mem::replace(slot, new.cloned());
    Some(old.map_or(Value::Null, Value::String))
}

/// The tenant's own fields have names of one segment, so that every one of them can be written in a path.
pub(crate) fn is_own_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn most_chars(field: &str) -> usize {
    if field == "email" { EMAIL_CHARS } else { TEXT_CHARS }
}

fn fits(field: &str, text: &str) -> bool {
    text.len() <= most_chars(field) || text.chars().count() <= most_chars(field)
}

fn is_timezone(text: &str) -> bool {
    text.parse::<chrono_tz::Tz>().is_ok()
}

fn replace_own(contact: &mut Contact, name: &str, value: &Value) -> Option<Value> {
    if value.is_null() {
        return contact.fields.remove(name);
    }
    if contact.fields.get(name) == Some(value) {
        return None;
    }
    Some(contact.fields.insert(name.to_owned(), value.clone()).unwrap_or(Value::Null))
}

fn replace_score(contact: &mut Contact, value: &Value) -> Option<Value> {
    let score = if value.is_null() { 0.0 } else { value.as_f64()? };
    if contact.score == score {
        return None;
    }
    Some(Value::from(std::mem::replace(&mut contact.score, score)))
}
