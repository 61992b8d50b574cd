//! From a message's bytes and headers to checked events: CloudEvents 1.0, structured, binary and batch.

use super::attributes::{build, is_json, media_type};
use super::encode::{BATCH, STRUCTURED};
use super::{Event, batch, coding};
use crate::json::{self, Fault, JsonError};
use crate::limits::Limits;
use chrono::{DateTime, Datelike, SecondsFormat};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// A message as it came from a transport.
#[derive(Clone, Debug, Default)]
pub struct Envelope<'a> {
    /// The transport's content type: decides between structured, batch and binary mode.
    pub content_type: Option<&'a str>,
    /// How the transport says the body is coded: `gzip`.
    pub content_encoding: Option<&'a str>,
    /// Headers as text, by lower-case name; binary mode reads `cloudevents:x`, `cloudevents_x` and `ce-x`.
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are no text and cannot be written as such, by lower-case name, and what they are: `a list`.
    pub opaque_headers: BTreeMap<String, &'static str>,
    /// The routing key.
    pub routing_key: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Why an event, or a whole message, is parked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// Stable code, listed in `docs/errors.md`: `malformed_json`, `missing_attribute`, `event_too_large`, …
    pub code: String,
    /// One sentence that names the attribute and the limit.
    pub detail: String,
}

impl Rejection {
    /// Builds a refusal.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

/// What a message holds.
pub type Members = Vec<Member>;

/// An event of a message, or the reason why it is none.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its place in a batch, from 0; `None` for what is not in one.
    pub index: Option<usize>,
    /// Where in the body it stands: what is parked when it is refused, here or later.
    pub bytes: Range<usize>,
    /// The event.
    pub outcome: Result<Event, Rejection>,
}

/// Reads a message whose routing key must be the type of every event in it.
///
/// A message without a content type, or of plain JSON, is read as structured unless it has CloudEvents headers.
///
/// # Errors
///
/// A [`Rejection`] for the whole message when it cannot even be split into members, and for a message of one event
/// that is refused: it is parked as it is, headers included.
pub fn read(envelope: &Envelope<'_>, limits: &Limits) -> Result<Members, Rejection> {
    read_routed(envelope, Some(envelope.routing_key), limits)
}

/// Reads a message that came without a routing key, over HTTP: each event's own type will be its routing key.
///
/// # Errors
///
/// As [`read`].
pub fn read_unrouted(envelope: &Envelope<'_>, limits: &Limits) -> Result<Members, Rejection> {
    read_routed(envelope, None, limits)
}

/// The exact bytes of each member of a batch that came without a routing key; nothing inside them is checked. What cannot
/// be told apart is refused as the last member.
///
/// # Errors
///
/// A [`Rejection`] of the whole: too large, too many, or not a JSON array.
pub fn batch_members<'a>(
    body: &'a [u8],
    limits: &Limits,
) -> Result<Vec<Result<&'a [u8], Rejection>>, Rejection> {
    batch::members(body, limits)
}

fn read_routed(
    envelope: &Envelope<'_>,
    routing_key: Option<&str>,
    limits: &Limits,
) -> Result<Members, Rejection> {
    let content_type = envelope.content_type.filter(|text| !text.trim().is_empty());
    let mode = content_type.map_or("", media_type);
    coding::check(envelope.content_encoding, "content_encoding")?;
    coding::check_charset(content_type, envelope.body)?;
    if mode.eq_ignore_ascii_case(BATCH) {
        return batch::read(envelope.body, routing_key, limits);
    }
    check_size(envelope.body, limits)?;
    let event = if mode.eq_ignore_ascii_case(STRUCTURED) {
        structured(envelope.body, limits)?
    } else if !mode.is_empty() && !is_json(mode) {
        return Err(Rejection::new(
            "unsupported_content_type",
            format!("the content type is \"{mode}\"; {STRUCTURED}, {BATCH} and application/json are read"),
        ));
    } else if header(&envelope.headers, "specversion").is_some() {
        binary(envelope, limits)?
    } else {
        structured(envelope.body, limits)?
    };
    if let Some(key) = routing_key.filter(|key| *key != event.event_type) {
        return Err(Rejection::new(
            "routing_key_mismatch",
            format!(
                "the routing key \"{key}\" is not the event's type \"{}\"; publish with the type as routing key",
                event.event_type
            ),
        ));
    }
    Ok(vec![Member { index: None, bytes: 0..envelope.body.len(), outcome: Ok(event) }])
}

/// Reads one event in structured mode: a JSON object with the attributes and `data`.
pub(super) fn structured(body: &[u8], limits: &Limits) -> Result<Event, Rejection> {
    match json::parse(body, limits.json_depth).map_err(refuse_json)? {
        Value::Object(mut object) => {
            let data = object.remove("data");
            build(|name| object.remove(name), data)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Rejection::new("not_an_event", "the body is not a JSON object"))
        }
    }
}

/// Refuses what is larger than a single event may be.
pub(super) fn check_size(bytes: &[u8], limits: &Limits) -> Result<(), Rejection> {
    if bytes.len() > limits.event_bytes {
        return Err(Rejection::new(
            "event_too_large",
            format!("the event has {} bytes; at most {} are allowed", bytes.len(), limits.event_bytes),
        ));
    }
    Ok(())
}

fn binary(envelope: &Envelope<'_>, limits: &Limits) -> Result<Event, Rejection> {
    check_opaque(&envelope.opaque_headers)?;
    let data = if envelope.body.is_empty() {
        None
    } else {
        let data = json::parse(envelope.body, limits.json_depth);
        Some(data.map_err(|error| refuse_json(error.below("data")))?)
    };
    let attribute = |name: &str| match (name, header(&envelope.headers, name)) {
        ("time", Some(text)) => Some(written_time(text)),
        (_, text) => text,
    };
    build(|name| attribute(name).map(Value::String), data)
}

/// Earliest time that a number of milliseconds is taken for: before it, in 1973, seconds are more likely.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

/// AMQP 1.0 counts milliseconds, and CloudEvents' binding for it lets publishers send them; here they come as an integer.
fn written_time(text: String) -> String {
    let counted = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
    let time = counted
        .filter(|milliseconds| *milliseconds >= FIRST_MILLISECOND)
        .and_then(DateTime::from_timestamp_millis)
        .filter(|time| time.year() <= 9_999);
    time.map_or(text, |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Refuses attributes that came as what no attribute can be.
fn check_opaque(headers: &BTreeMap<String, &'static str>) -> Result<(), Rejection> {
    let attribute = |name: &str| {
        ["cloudevents:", "cloudevents_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix).map(str::to_owned))
    };
    match headers.iter().find_map(|(name, kind)| Some((attribute(name)?, kind))) {
        Some((name, kind)) => Err(Rejection::new(
            "attribute_invalid",
            format!("the attribute {name} is not acceptable: its header is {kind}; send text"),
        )),
        None => Ok(()),
    }
}

/// The AMQP binding's two spellings, then that of the binding for RabbitMQ.
fn header(headers: &BTreeMap<String, String>, name: &str) -> Option<String> {
    ["cloudevents:", "cloudevents_", "ce-"]
        .iter()
        .find_map(|prefix| headers.get(&format!("{prefix}{name}")))
        .cloned()
}

/// Decodes `%20`; what is not an escape, or would not be UTF-8, stays as it is.
pub fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (_, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// The refusal of a body that is not acceptable JSON, with its path.
pub fn refuse_json(error: JsonError) -> Rejection {
    let code = match &error.fault {
        Fault::Syntax(_) => "malformed_json",
        Fault::Empty => return Rejection::new("malformed_json", "the body is empty"),
        Fault::Foreign(foreign) => return coding::foreign_body(*foreign),
        Fault::DuplicateKey(_) => "duplicate_key",
        Fault::Nul => "nul_character",
        Fault::Number(_) => "number_not_exact",
        Fault::TooDeep { .. } => "json_too_deep",
    };
    Rejection::new(code, error.to_string())
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
