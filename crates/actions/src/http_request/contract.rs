//! What the action takes.

use super::{IDEMPOTENCY_KEY, MAX_MEMBERS, MAX_REDIRECTS, METHODS};
use automation_domain::path::Path;
use automation_domain::workflow::variable;
use serde_json::{Value, json};

/// How a path in a response begins; [`check_path`] knows the rest, and says what to write instead.
const PATH: &str = r"^(status$|headers[.\[]|body($|[.\[]))";

pub(super) fn schema() -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let scalars = json!({ "anyOf": [scalar, { "type": "array", "items": scalar }] });
    json!({
        "type": "object",
        "description": "Calls a service over HTTP. The request is stored before it is sent, and every try sends the same bytes with the same Idempotency-Key.",
        "properties": {
            "method": {
                "enum": METHODS,
                "description": "GET without one.",
            },
            "url": {
                "type": "string",
                "minLength": 1,
                "description": "Absolute, http or https, at most 8 KiB once rendered. Values belong into query, which encodes them.",
            },
            "query": {
                "type": "object",
                "additionalProperties": scalars,
                "maxProperties": MAX_MEMBERS,
                "description": "Parameters that are added to the URL, encoded. A list gives a parameter several times; null leaves it out.",
            },
            "headers": {
                "type": "object",
                "additionalProperties": scalar,
                "propertyNames": { "not": { "enum": [
                    "Authorization", "authorization", "Cookie", "cookie", "Proxy-Authorization", "proxy-authorization",
                    "Host", "host", "Content-Length", "content-length", IDEMPOTENCY_KEY, "idempotency-key",
                ] } },
                "maxProperties": MAX_MEMBERS,
                "description": "Headers, each once; null leaves one out. Secrets belong into a credential.",
            },
            "body": {
                "type": "object",
                "properties": {
                    "json": { "description": "Any JSON, sent as application/json." },
                    "text": { "type": "string", "description": "Sent as it is, as text/plain unless a header says otherwise." },
                    "form": {
                        "type": "object",
                        "additionalProperties": scalars,
                        "description": "Sent as application/x-www-form-urlencoded.",
                    },
                },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": false,
                "description": "One of json, text and form, at most 1 MiB once rendered.",
            },
            "credential": {
                "type": "string",
                "minLength": 1,
                "description": "Key of the credential that authorizes the request; it is sent to the hosts it allows and nowhere else.",
            },
            "redirects": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_REDIRECTS,
                "description": "Redirects to follow at most; none without it.",
            },
            "save": {
                "type": "object",
                "additionalProperties": { "type": "string", "pattern": PATH },
                "propertyNames": { "pattern": variable::PATTERN },
                "maxProperties": MAX_MEMBERS,
                "description": "Variables to set from the response: name to path (status, headers.<name>, body, body.items[0].id). What is not there becomes null.",
            },
        },
        "required": ["url"],
        "additionalProperties": false,
    })
}

/// Checks a path in a response.
pub(super) fn check_path(text: &str) -> Result<(), String> {
    let path = Path::parse(text).map_err(|error| error.to_string())?;
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match path.segments() {
        [root] if root == "status" => Ok(()),
        [root, name] if root == "headers" && name.bytes().all(word) => Ok(()),
        [root, ..] if root == "body" => Ok(()),
        _ => Err("it takes status, headers.<name>, body or body.<path>".to_owned()),
    }
}
