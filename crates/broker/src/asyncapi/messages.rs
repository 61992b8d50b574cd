//! Messages in three modes, and the schemas of what they carry.

use super::{CUSTOM, envelope};
use automation_domain::catalogue::{self, payload};
use automation_domain::limits::Limits;
use serde_json::{Map, Value, json};

pub(super) const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const BINARY: &str = "application/json";

/// How an event is put into a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// One object with the attributes and the data.
    Structured,
    /// An array of such objects, of one type.
    Batch,
    /// Attributes in headers, the data in the body.
    Binary,
}

pub(super) const MODES: [Mode; 3] = [Mode::Structured, Mode::Batch, Mode::Binary];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Structured => "structured",
            Self::Batch => "batch",
            Self::Binary => "binary",
        }
    }
}

/// The messages of a channel.
pub(super) fn references(key: &str) -> Value {
    let reference = |mode: Mode| json!({ "$ref": format!("#/components/messages/{key}.{}", mode.name()) });
    MODES.iter().map(|mode| (mode.name().to_owned(), reference(*mode))).collect::<Map<_, _>>().into()
}

/// The same from an operation's side, which refers to its channel.
pub(super) fn channel_references(key: &str, modes: &[Mode]) -> Value {
    let reference = |mode: &Mode| json!({ "$ref": format!("#/channels/{key}/messages/{}", mode.name()) });
    modes.iter().map(reference).collect()
}

pub(super) fn components(limits: &Limits) -> Value {
    let keys = || catalogue::triggers().iter().map(|entry| entry.key).chain([CUSTOM]);
    let messages: Map<String, Value> = keys()
        .flat_map(|key| MODES.map(|mode| (format!("{key}.{}", mode.name()), message(key, mode))))
        .collect();
    let mut schemas: Map<String, Value> =
        keys().flat_map(|key| [(format!("{key}.data"), data(key)), (key.to_owned(), event(key))]).collect();
    schemas.insert("cloudevent".to_owned(), envelope::event());
    json!({
        "securitySchemes": {
            "user": {
                "type": "userPassword",
                "description": "A user of the broker that may write to automation.events and nothing else, with topic \
                                permissions for its types, and a grant of the engine for tenant and types: automation \
                                tenant grant KEY --user U --types T --create-user. Every message carries the user's \
                                name in the property user_id.",
            },
        },
        "messageTraits": traits(limits),
        "messages": messages,
        "schemas": schemas,
    })
}

fn traits(limits: &Limits) -> Value {
    let amqp = json!({ "amqp": { "bindingVersion": "0.3.0" } });
    json!({
        "structured": {
            "contentType": STRUCTURED,
            "summary": format!("One event, at most {} bytes.", limits.event_bytes),
            "bindings": amqp,
        },
        "batch": {
            "contentType": BATCH,
            "summary": format!(
                "Up to {} events of the type that is the routing key, at most {} bytes. A bad member is parked alone.",
                limits.batch_events, limits.batch_bytes
            ),
            "bindings": amqp,
        },
        "binary": {
            "contentType": BINARY,
            "summary": format!("One event, its attributes in headers, at most {} bytes of data.", limits.event_bytes),
            "headers": envelope::headers(),
            "bindings": amqp,
        },
    })
}

fn message(key: &str, mode: Mode) -> Value {
    let event = json!({ "$ref": format!("#/components/schemas/{key}") });
    let payload = match mode {
        Mode::Structured => event,
        Mode::Batch => json!({
            "type": "array",
            "minItems": 1,
            "maxItems": Limits::default().batch_events,
            "items": event,
        }),
        Mode::Binary => json!({ "$ref": format!("#/components/schemas/{key}.data") }),
    };
    json!({
        "name": key,
        "title": format!("{key}, {}", mode.name()),
        "traits": [{ "$ref": format!("#/components/messageTraits/{}", mode.name()) }],
        "payload": payload,
    })
}

/// An event of one type, in structured mode.
fn event(key: &str) -> Value {
    let mut properties = json!({ "data": { "$ref": format!("#/components/schemas/{key}.data") } });
    if key != CUSTOM {
        properties["type"] = json!({ "const": key });
    }
    json!({
        "allOf": [
            { "$ref": "#/components/schemas/cloudevent" },
            { "type": "object", "properties": properties },
        ],
        "examples": [{
            "specversion": "1.0", "id": "0193f3a0-4c1e-7f2b-9a55-0242ac120002", "source": "shop",
            "type": if key == CUSTOM { "invoice.overdue" } else { key },
            "time": "2026-01-31T12:00:00Z", "tenantid": "acme", "subject": "customer-17",
            "data": example(key),
        }],
    })
}

/// The catalogue's schema. The words it uses mean the same in AsyncAPI's own dialect, so its `$schema` is left out.
fn data(key: &str) -> Value {
    match payload::schema(key) {
        Some(schema) => {
            let mut schema = schema.clone();
            if let Some(members) = schema.as_object_mut() {
                members.remove("$schema");
            }
            schema
        }
        None => {
            json!({ "type": "object", "description": "Whatever belongs to the event.", "examples": [example(key)] })
        }
    }
}

fn example(key: &str) -> Value {
    payload::example(key).cloned().unwrap_or_else(|| json!({ "invoice": "in_93", "days": 14 }))
}
