//! What later steps and history see of an answer: bounded, without secrets, in a form that can be stored.

use super::answer::{Answer, Ended};
use super::body::{self, Body};
use super::failure::Failure;
use crate::mask::Mask;
use automation_domain::effect::{HttpRequest, Outcome, Response};
use automation_domain::json;
use automation_domain::limits::Limits;
use automation_domain::outbound::Outbound;
use automation_domain::path::Path;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

/// Bytes of headers that history keeps.
const KEPT_HEADER_BYTES: usize = 8 * 1024;

/// Member of the output that says why the body is not what its headers say.
const BODY_UNREADABLE: &str = "body_unreadable";

/// Bytes of that sentence: it may quote the answer.
const WHY_BYTES: usize = 300;

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
    body: Read,
}

/// A body without secrets.
enum Read {
    Nothing,
    Json(Value),
    Text(String),
    /// It is not what its headers say: why, and the text that it is.
    Not {
        why: String,
        text: Option<String>,
    },
}

impl Seen {
    /// What later steps see.
    fn output(&self) -> Value {
        let (body, why) = match &self.body {
            Read::Nothing => (Value::Null, None),
            Read::Json(value) => (value.clone(), None),
            Read::Text(text) => (Value::from(text.as_str()), None),
            Read::Not { why, text } => (text.as_deref().into(), Some(why)),
        };
        let mut output = json!({ "status": self.status, "headers": self.headers, "body": body });
        if let Some(why) = why {
            output[BODY_UNREADABLE] = Value::from(why.as_str());
        }
        output
    }

    /// Why a path of `save` cannot look where it wants to; a null would say that nothing is there.
    fn hidden_from(&self, path: &str) -> Option<&str> {
        match &self.body {
            Read::Not { why, .. } if path.starts_with("body") => Some(why),
            Read::Text(_) if path.starts_with("body") && path != "body" => {
                Some("it is text, and its type does not say JSON")
            }
            Read::Nothing | Read::Json(_) | Read::Text(_) | Read::Not { .. } => None,
        }
    }
}

impl Bounds {
    pub(super) fn new(outbound: &Outbound, limits: &Limits) -> Self {
        Self {
            response_bytes: outbound.response_bytes,
            kept_bytes: outbound.kept_bytes,
            output_bytes: limits.output_bytes,
            json_depth: limits.json_depth,
        }
    }

    /// Looks at an answer.
    pub(super) fn see(&self, answer: &Answer, mask: &Mask) -> Seen {
        let cut = answer.ended != Ended::Complete;
        let shown = |text: &str| {
            let masked = mask.text(text);
            // Blanked first: where the end is left out, the cut could else go through a secret.
            let whole = if cut { masked.len().saturating_sub(mask.longest()) } else { masked.len() };
            beginning(&masked, whole).replace('\0', "\u{fffd}")
        };
        let (text, body) = match body::read(answer, self.json_depth) {
            Body::Empty => (String::new(), Read::Nothing),
            Body::Json { text, mut value } => {
                let masked = mask.json(&mut value);
                // A secret may hide behind JSON's escapes: the text is built anew where the value had one.
                let text = if masked { value.to_string() } else { text };
                let text = mask.text(&text).into_owned();
                (text, Read::Json(value))
            }
            Body::Text(text) => {
                let text = shown(&text);
                (text.clone(), Read::Text(text))
            }
            Body::Unreadable { why, text } => {
                let why = mask.text(&why.to_string()).into_owned();
                let why = beginning(&why, WHY_BYTES).replace('\0', "\u{fffd}");
                let text = text.as_deref().map(shown);
                (text.clone().unwrap_or_default(), Read::Not { why, text })
            }
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
        for (name, path) in &request.save {
            if let Some(why) = seen.hidden_from(path) {
                return Failure::unreadable(seen.status, name, path, why).into_outcome();
            }
        }
        let whole = seen.output();
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
