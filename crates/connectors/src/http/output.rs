//! What later steps and history see of an answer: bounded, without secrets, in a form that can be stored.

use super::answer::{Answer, Ended};
use super::failure::Failure;
use crate::mask::Mask;
use automation_domain::effect::{HttpRequest, Outcome, Response};
use automation_domain::json;
use automation_domain::path::Path;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};

/// Bytes of headers that history keeps.
const KEPT_HEADER_BYTES: usize = 8 * 1024;

/// Parts of names of headers that carry what authenticates.
const SECRET_NAMES: [&str; 9] =
    ["auth", "cookie", "credential", "jwt", "key", "password", "secret", "session", "token"];

/// Bounds of what is taken from an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) response_bytes: usize,
    pub(super) kept_bytes: usize,
    pub(super) output_bytes: usize,
    pub(super) json_depth: usize,
}

/// An answer without secrets.
pub(super) struct Seen {
    pub(super) kept: Response,
    status: u16,
    headers: Map<String, Value>,
    body: Value,
}

impl Bounds {
    /// Looks at an answer.
    pub(super) fn see(&self, answer: &Answer, mask: &Mask) -> Seen {
        let cut = answer.ended != Ended::Complete;
        let text = text(answer);
        let parsed = text.filter(|_| is_json(answer) && !cut).and_then(|text| {
            let mut value = json::parse(text.as_bytes(), self.json_depth).ok()?;
            let masked = mask.json(&mut value);
            // A secret may hide behind JSON's escapes: the text is built anew where the value had one.
            Some((if masked { value.to_string() } else { mask.text(text).into_owned() }, value))
        });
        let (text, body) = match (parsed, text) {
            (Some((text, value)), _) => (text, value),
            (None, Some("")) => (String::new(), Value::Null),
            (None, Some(text)) => {
                let masked = mask.text(text);
                // Blanked first: where the end is left out, the cut could else go through a secret.
                let whole = if cut { masked.len().saturating_sub(mask.longest()) } else { masked.len() };
                let text = beginning(&masked, whole).replace('\0', "\u{fffd}");
                (text.clone(), Value::String(text))
            }
            (None, None) => (String::new(), Value::Null),
        };
        let (headers, headers_cut) = kept_headers(&answer.headers, mask);
        let kept_body = beginning(&text, self.kept_bytes);
        let kept = Response {
            status: answer.status.as_u16(),
            headers,
            truncated: cut
                || headers_cut
                || kept_body.len() < text.len()
                || text.is_empty() != answer.body.is_empty(),
            body: kept_body.to_owned(),
        };
        Seen { status: kept.status, kept, headers: joined_headers(&answer.headers, mask), body }
    }

    /// What history keeps of an answer whose body is not read.
    pub(super) fn kept_headers(&self, response: &reqwest::Response, mask: &Mask) -> Response {
        let (headers, truncated) = kept_headers(response.headers(), mask);
        Response { status: response.status().as_u16(), headers, body: String::new(), truncated }
    }

    /// The outcome of a success: its output, and the variables that the request asks for.
    pub(super) fn outcome(&self, seen: &Seen, request: &HttpRequest) -> Outcome {
        let whole = json!({ "status": seen.status, "headers": seen.headers, "body": seen.body });
        let vars: Map<String, Value> =
            request.save.iter().map(|(name, path)| (name.clone(), at(&whole, path))).collect();
        let saved: usize = vars.values().map(json::size_bytes).sum();
        if saved > self.output_bytes {
            return Failure::output_too_large(self.output_bytes).into_outcome();
        }
        Outcome::Done { output: self.fitting(whole), vars }
    }

    /// The output, its body cut to text where it would be too large.
    fn fitting(&self, mut output: Value) -> Value {
        if json::size_bytes(&output) <= self.output_bytes {
            return output;
        }
        let body = match output["body"].take() {
            Value::String(text) => text,
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        output["truncated"] = Value::Bool(true);
        let room = self.output_bytes.saturating_sub(json::size_bytes(&output));
        let mut length = room.min(body.len());
        // Quotes, and characters that JSON escapes, need more room than they have bytes.
        while length > 0 {
            let text = Value::String(beginning(&body, length).to_owned());
            let size = json::size_bytes(&text);
            if size <= room + "null".len() {
                output["body"] = text;
                return output;
            }
            length = (length * room / size).min(length - 1);
        }
        if json::size_bytes(&output) > self.output_bytes {
            output["headers"] = Value::Object(Map::new());
        }
        output
    }
}

/// The body as text; `None` when it is none: compressed, or not UTF-8. Where it was cut, its end may be the beginning of a
/// secret.
fn text(answer: &Answer) -> Option<&str> {
    let encoding = answer.headers.get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes());
    if encoding.is_some_and(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity")) {
        return None;
    }
    match std::str::from_utf8(&answer.body) {
        Ok(text) => Some(text),
        // The last character is cut in two.
        Err(error) if error.error_len().is_none() && answer.ended != Ended::Complete => {
            std::str::from_utf8(&answer.body[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// Whether the body claims to be JSON, or claims nothing and looks like it.
fn is_json(answer: &Answer) -> bool {
    let first = answer.body.iter().find(|byte| !byte.is_ascii_whitespace());
    match answer
        .headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase())
    {
        Some(kind) => {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == "application/json" || kind.ends_with("+json") || kind == "text/json"
        }
        None => first.is_some_and(|byte| matches!(byte, b'{' | b'[')),
    }
}

/// At most `bytes` of a text, whole characters.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "idempotency-key" && SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Headers that may be kept, in order; each value as text.
fn shown<'h>(headers: &'h HeaderMap, mask: &'h Mask) -> impl Iterator<Item = (&'h str, String)> {
    headers.iter().filter(|(name, _)| !is_secret(name.as_str())).map(|(name, value)| {
        (name.as_str(), mask.text(&String::from_utf8_lossy(value.as_bytes())).into_owned())
    })
}

/// As many as there is room for, and whether any were left out for want of it.
fn kept_headers(headers: &HeaderMap, mask: &Mask) -> (Vec<(String, String)>, bool) {
    let (mut kept, mut room) = (Vec::new(), KEPT_HEADER_BYTES);
    for (name, value) in shown(headers, mask) {
        match room.checked_sub(name.len() + value.len()) {
            Some(left) => {
                room = left;
                kept.push((name.to_owned(), value));
            }
            None => return (kept, true),
        }
    }
    (kept, false)
}

/// By name, in lower case; several of one name are joined as RFC 9110 says.
fn joined_headers(headers: &HeaderMap, mask: &Mask) -> Map<String, Value> {
    let mut joined: Map<String, Value> = Map::new();
    for (name, value) in shown(headers, mask) {
        match joined.get_mut(name) {
            Some(Value::String(text)) => {
                text.push_str(", ");
                text.push_str(&value);
            }
            Some(_) | None => drop(joined.insert(name.to_owned(), Value::String(value))),
        }
    }
    joined
}

/// The value at `status`, `headers.<name>`, `body` or `body.<path>`; null where there is none.
fn at(whole: &Value, path: &str) -> Value {
    let Ok(path) = Path::parse(path) else { return Value::Null };
    let found = match path.segments() {
        [root, name] if root == "headers" => whole["headers"].get(name.to_ascii_lowercase()),
        _ => path.find(whole),
    };
    found.cloned().unwrap_or_default()
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
