//! The body: one of three forms, as the bytes that go over the wire.

use super::url;
use crate::config::invalid;
use automation_domain::interpreter::StepError;
use automation_domain::text;
use serde_json::Value;

/// Largest body, in bytes.
const BODY_BYTES: usize = 1024 * 1024;

pub(super) struct Body {
    pub(super) text: String,
    pub(super) content_type: &'static str,
}

pub(super) fn read(config: &Value) -> Result<Option<Body>, StepError> {
    let members = match config.get("body") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(invalid("body must be an object with json, text or form".to_owned()));
        }
    };
    let mut forms = members.iter();
    let (Some((form, value)), None) = (forms.next(), forms.next()) else {
        return Err(invalid("body must have exactly one of json, text and form".to_owned()));
    };
    let (text, content_type) = match form.as_str() {
        "json" => (value.to_string(), "application/json"),
        "text" => (text::of(value).into_owned(), "text/plain; charset=utf-8"),
        "form" => (url::encode_pairs(value, "body.form")?, "application/x-www-form-urlencoded"),
        _ => return Err(invalid(format!("body has no \"{form}\"; it takes json, text or form"))),
    };
    check_text(&text)?;
    Ok(Some(Body { text, content_type }))
}

/// Checks the bytes that go over the wire.
pub(super) fn check_text(text: &str) -> Result<(), StepError> {
    if text.len() > BODY_BYTES {
        return Err(invalid(format!("body has {} bytes; at most {BODY_BYTES} are allowed", text.len())));
    }
    if text.contains('\0') {
        return Err(invalid("body contains the character U+0000, which cannot be stored".to_owned()));
    }
    Ok(())
}

/// Checks that a request of this method may have the body that it has.
pub(super) fn check_method(method: &str, has_body: bool) -> Result<(), StepError> {
    if has_body && matches!(method, "GET" | "HEAD") {
        return Err(invalid(format!("a {method} request has no body; set method to POST, PUT or PATCH")));
    }
    Ok(())
}
