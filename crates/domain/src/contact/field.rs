//! The fields of a contact that can be set by name: built-in ones (`email`) and the tenant's own (`fields.plan`).

use super::Contact;
use crate::json::number::exact_f64;
use crate::path::Path;
use crate::record::stamps::{Applied, Presence, Stamp};
use serde_json::{Map, Value};

/// The built-in fields, by the names used in `contact.<name>`.
pub const BUILT_IN: [&str; 7] = ["email", "phone", "first_name", "last_name", "timezone", "owner", "score"];

/// What the name of a field of the tenant's own stands behind.
pub(crate) const OWN: &str = "fields.";

/// Most characters of an e-mail address: 64 before the @ and 255 behind it (RFC 5321).
const EMAIL_CHARS: usize = 320;
/// Most characters of the other built-in fields. What is indexed must fit a page of the index, whatever it holds.
const TEXT_CHARS: usize = 512;

/// Most characters of the name of a field of the tenant's own.
const MOST_NAME_CHARS: usize = 64;

/// Reads a field as people write it, in the notation of paths: `email`, `fields.plan`, `fields["a.b"]`. What comes back has
/// the name as it is, behind `fields.`.
///
/// # Errors
///
/// One sentence for a person.
pub fn named(text: &str) -> Result<String, String> {
    let path = Path::parse(text).map_err(|fault| format!("\"{text}\" is not a field: {fault}"))?;
    match path.segments() {
        [name] => Ok(name.clone()),
        [fields, name] if fields == "fields" => Ok(format!("{OWN}{name}")),
        _ => Err(format!(
            "\"{text}\" is not a field: write fields.<name>, or fields[\"a.b\"] for a name with dots"
        )),
    }
}

/// Checks that `field` can be set to `value`; null clears and always fits.
///
/// # Errors
///
/// One sentence for a person.
pub fn check(field: &str, value: &Value) -> Result<(), String> {
    if let Some(name) = field.strip_prefix(OWN) {
        return if is_own_name(name) {
            Ok(())
        } else {
            Err(format!(
                "this is not a field: the name of one of your own has 1 to {MOST_NAME_CHARS} characters, no control \
                 characters, and no white space at its ends"
            ))
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
        (_, Value::Null) => Ok(()),
        ("score", Value::Number(number)) if exact_f64(number).is_some() => Ok(()),
        ("score", Value::Number(_)) => Err("score takes a number that a double keeps exactly".to_owned()),
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

/// Sets a field, unless newer news of it is known or it cannot hold the value; of a change, what it held before, null
/// when nothing.
pub(crate) fn set(contact: &mut Contact, field: &str, value: &Value, stamp: Stamp) -> Applied<Value> {
    if check(field, value).is_err() {
        return Applied::Nothing;
    }
    let Contact { email, phone, first_name, last_name, timezone, owner, score, fields, set_by, .. } = contact;
    let mut take = |presence, change: &mut dyn FnMut() -> Option<Value>| {
        set_by.take(field.to_owned(), stamp, presence, change)
    };
    if let Some(name) = field.strip_prefix(OWN) {
        let presence = if value.is_null() { Presence::Gone } else { Presence::There };
        return take(presence, &mut || replace_own(fields, name, value));
    }
    let slot = match field {
        "score" => return take(Presence::There, &mut || replace_score(score, value)),
        "email" => email,
        "phone" => phone,
        "first_name" => first_name,
        "last_name" => last_name,
        "timezone" => timezone,
        "owner" => owner,
        _ => return Applied::Nothing,
    };
    take(Presence::There, &mut || replace_text(slot, value.as_str()))
}

/// Whether a field of the tenant's own can have this name: any text that fits a line, so that it can be read and written.
fn is_own_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= MOST_NAME_CHARS
        && name.trim() == name
        && !name.chars().any(char::is_control)
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

fn replace_text(slot: &mut Option<String>, new: Option<&str>) -> Option<Value> {
    if slot.as_deref() == new {
        return None;
    }
    let old = std::mem::replace(slot, new.map(str::to_owned));
    Some(old.map_or(Value::Null, Value::String))
}

fn replace_own(fields: &mut Map<String, Value>, name: &str, value: &Value) -> Option<Value> {
    if value.is_null() {
        return fields.remove(name);
    }
    if fields.get(name) == Some(value) {
        return None;
    }
    Some(fields.insert(name.to_owned(), value.clone()).unwrap_or(Value::Null))
}

fn replace_score(held: &mut f64, value: &Value) -> Option<Value> {
    let score = if value.is_null() { 0.0 } else { value.as_f64()? };
    if *held == score {
        return None;
    }
    Some(Value::from(std::mem::replace(held, score)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_of_ones_own_is_written_behind_a_dot_or_in_quotes() {
        for (text, name) in [
            ("email", "email"),
            ("fields.plan", "fields.plan"),
            ("fields.größe-2", "fields.größe-2"),
            ("fields['Zweite Größe']", "fields.Zweite Größe"),
            (r#"fields["a.b"]"#, "fields.a.b"),
            (r#"fields["it's \"so\""]"#, "fields.it's \"so\""),
        ] {
            assert_eq!(named(text).as_deref(), Ok(name));
            assert_eq!(check(name, &json!(null)), Ok(()), "{name}");
        }
        for text in ["fields.a.b", "fields[", "fields[a]", "fields.Zweite Größe", "", "contact.fields.plan"]
        {
            assert!(named(text).unwrap_err().contains("is not a field"), "{text}");
        }
    }

    #[test]
    fn a_name_that_nobody_could_read_is_none() {
        for name in ["", " a", "a ", "a\nb", "\u{7f}", &"ü".repeat(65)] {
            assert!(check(&format!("{OWN}{name}"), &json!(1)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_score_is_kept_exactly_or_refused() {
        assert_eq!(check("score", &json!(9_007_199_254_740_992_u64)), Ok(()));
        assert!(check("score", &json!(9_007_199_254_740_993_u64)).is_err());
    }
}
