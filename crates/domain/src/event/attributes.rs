//! The rules for each attribute of an event, whichever way it came.

use super::envelope::Rejection;
use super::{Event, body_hash, is_type};
use crate::id::EventKey;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// Attributes without which there is no event.
const REQUIRED: [&str; 6] = ["specversion", "id", "source", "type", "time", "tenantid"];

/// Builds an event from its attributes; `take` gives each attribute by name, once.
pub(super) fn build(
    mut take: impl FnMut(&str) -> Option<Value>,
    data: Option<Value>,
) -> Result<Event, Rejection> {
    let mut take = |name: &str| take(name).filter(|value| !value.is_null());
    let given = REQUIRED.map(&mut take);
    let [spec_version, ..] = &given;
    if let Some(spec_version) = spec_version {
        check_spec_version(spec_version.clone())?;
    }
    check_missing(&given)?;
    let [_, id, source, event_type, time, tenant] = given;
    if take("data_base64").is_some() {
        return Err(Rejection::new(
            "data_base64",
            "data_base64 is not read; send the payload as JSON in data",
        ));
    }
    if let Some(content_type) = optional(take("datacontenttype"), "datacontenttype", 256)?
        && !is_json(&content_type)
    {
        return Err(Rejection::new(
            "unsupported_datacontenttype",
            format!("datacontenttype is \"{content_type}\"; only application/json is read"),
        ));
    }
    let id = required(id, "id", 256)?;
    let source = required(source, "source", 512)?;
    let event_type = required(event_type, "type", 128)?;
    if !is_type(&event_type) {
        return Err(invalid("type", "is words of a-z, 0-9, _ and - with single dots between them"));
    }
    let tenant = required(tenant, "tenantid", 63)?;
    if !tenant.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err(invalid("tenantid", "is letters a-z, digits and -"));
    }
    let time = parsed_time(&required(time, "time", 64)?)?;
    let subject = optional(take("subject"), "subject", 256)?;
    let correlation_id = optional(take("correlationid"), "correlationid", 256)?;
    let causation_id = optional(take("causationid"), "causationid", 256)?;
    let causation_depth = causation_depth(take("causationdepth"))?;
    let traceparent = trace(take("traceparent")).filter(|text| is_traceparent(text));
    let tracestate = trace(take("tracestate")).filter(|_| traceparent.is_some());
    let data = match data {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(data @ Value::Object(_)) => data,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(Rejection::new("data_not_object", "data must be a JSON object"));
        }
    };
    Ok(Event {
        key: EventKey::derive(&source, &id),
        body_hash: body_hash(&event_type, subject.as_deref(), &data),
        id,
        source,
        event_type,
        tenant,
        time,
        subject,
        correlation_id,
        causation_id,
        causation_depth,
        traceparent,
        tracestate,
        data,
    })
}

/// Whether a media type is JSON, parameters aside.
pub(super) fn is_json(content_type: &str) -> bool {
    media_type(content_type).eq_ignore_ascii_case("application/json")
}

/// The media type without its parameters.
pub(super) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn check_spec_version(value: Value) -> Result<(), Rejection> {
    match required(Some(value), "specversion", 16)?.as_str() {
        "1.0" => Ok(()),
        other => Err(Rejection::new(
            "unsupported_specversion",
            format!("specversion is \"{other}\"; only \"1.0\" is read"),
        )),
    }
}

/// Refuses an event without one of these, and names all that it lacks.
fn check_missing(given: &[Option<Value>; REQUIRED.len()]) -> Result<(), Rejection> {
    let lacks = REQUIRED.iter().zip(given).filter(|(_, value)| value.is_none());
    match lacks.map(|(name, _)| *name).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        [name] => Err(missing(name)),
        [others @ .., last] => {
            let names = format!("{} and {last}", others.join(", "));
            let detail = format!("the attributes {names} are required and are missing");
            Err(Rejection::new("missing_attribute", detail))
        }
    }
}

fn missing(name: &str) -> Rejection {
    Rejection::new("missing_attribute", format!("the attribute {name} is required and is missing"))
}

fn required(value: Option<Value>, name: &str, max_bytes: usize) -> Result<String, Rejection> {
    optional(value, name, max_bytes)?.ok_or_else(|| missing(name))
}

fn optional(value: Option<Value>, name: &str, max_bytes: usize) -> Result<Option<String>, Rejection> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(invalid(name, "is a string"));
        }
    };
    if text.is_empty() {
        return Err(invalid(name, "is not empty when present"));
    }
    if text.len() > max_bytes {
        return Err(Rejection::new(
            "attribute_too_long",
            format!("the attribute {name} is {} bytes long; at most {max_bytes} are allowed", text.len()),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(name, "has no control characters"));
    }
    Ok(Some(text))
}

fn parsed_time(text: &str) -> Result<DateTime<Utc>, Rejection> {
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).map_err(|_| {
        invalid(
            "time",
            "is an RFC 3339 time such as 2026-01-31T12:00:00Z, or in a header milliseconds since 1970",
        )
    })
}

fn causation_depth(value: Option<Value>) -> Result<u16, Rejection> {
    let depth = match value {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_u64().and_then(|depth| u16::try_from(depth).ok()),
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Some(Value::String(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    depth.ok_or_else(|| invalid("causationdepth", "is an integer from 0 to 65535"))
}

/// Trace context is help for people, not part of the event: what cannot be used is dropped, as W3C asks.
fn trace(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text))
            if text.len() <= 512 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) =>
        {
            Some(text)
        }
        Some(
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        )
        | None => None,
    }
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 4
        && parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.iter().all(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn invalid(name: &str, rule: &str) -> Rejection {
    Rejection::new("attribute_invalid", format!("the attribute {name} is not acceptable: it {rule}"))
}
