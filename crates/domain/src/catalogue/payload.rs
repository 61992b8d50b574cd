//! What the payload of each trigger looks like: JSON Schema 2020-12, with an example.
//!
//! The schemas stand in `schemas/<group>.json`, as data: properties, which of them must be there, and an example. They
//! describe; events that do not follow them are accepted all the same, and fields beyond them are kept.

use super::{TriggerEntry, trigger, triggers};
use crate::schema_words;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The files, by the group of their triggers.
const FILES: [(&str, &str); 11] = [
    ("contact", include_str!("schemas/contact.json")),
    ("form", include_str!("schemas/form.json")),
    ("email", include_str!("schemas/email.json")),
    ("funnel", include_str!("schemas/funnel.json")),
    ("popup", include_str!("schemas/popup.json")),
    ("behavior", include_str!("schemas/behavior.json")),
    ("crm", include_str!("schemas/crm.json")),
    ("subscription", include_str!("schemas/subscription.json")),
    ("ecommerce", include_str!("schemas/ecommerce.json")),
    ("trading_room", include_str!("schemas/trading_room.json")),
    ("system", include_str!("schemas/system.json")),
];

/// Most mismatches that are told of one payload.
const MOST_MISMATCHES: usize = 20;

/// A schema as the files have it.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Written {
    properties: Map<String, Value>,
    required: Vec<String>,
    example: Value,
}

struct Payload {
    schema: Value,
    example: Value,
    validator: Validator,
}

static PAYLOADS: LazyLock<BTreeMap<&'static str, Payload>> = LazyLock::new(|| {
    let mut written: BTreeMap<String, Written> = BTreeMap::new();
    for (group, text) in FILES {
        let file: BTreeMap<String, Written> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("schemas/{group}.json: {error}"));
        written.extend(file);
    }
    triggers()
        .iter()
        .map(|entry| {
            let written = written.remove(entry.key).unwrap_or_else(|| panic!("{} has no schema", entry.key));
            (entry.key, payload(entry, written))
        })
        .collect()
});

/// Why a payload is not what its schema says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// JSON Pointer into the payload; empty for the payload itself.
    pub at: String,
    /// What is wrong there, in one sentence.
    pub detail: String,
}

/// The schema of a trigger's payload; `None` for a type that the catalogue does not have.
pub fn schema(event_type: &str) -> Option<&'static Value> {
    PAYLOADS.get(event_type).map(|payload| &payload.schema)
}

/// A payload as a publisher might send it.
pub fn example(event_type: &str) -> Option<&'static Value> {
    PAYLOADS.get(event_type).map(|payload| &payload.example)
}

/// All schemas by event type, as one JSON document.
pub fn schemas() -> Value {
    triggers().iter().filter_map(|entry| Some((entry.key.to_owned(), schema(entry.key)?.clone()))).collect()
}

/// Compares a payload with the schema of its type; a custom event has none, and matches.
///
/// # Errors
///
/// What does not match, at most twenty places.
pub fn check(event_type: &str, data: &Value) -> Result<(), Vec<Mismatch>> {
    let Some(payload) = PAYLOADS.get(event_type) else { return Ok(()) };
    let found: Vec<Mismatch> = payload
        .validator
        .iter_errors(data)
        .take(MOST_MISMATCHES)
        .map(|error| Mismatch {
            at: error.instance_path().to_string(),
            detail: schema_words::sentence(&error),
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn payload(entry: &TriggerEntry, written: Written) -> Payload {
    let Written { properties, required, example } = written;
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": entry.key,
        "description": entry.description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": true,
        "examples": [example],
    });
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap_or_else(|error| panic!("the schema of {}: {error}", entry.key));
    Payload { schema, example, validator }
}

/// Whether the catalogue's field, such as `changes.<field>.from`, is described by the schema of `event_type`.
pub fn describes(event_type: &str, field: &str) -> bool {
    let Some(schema) = schema(event_type).filter(|_| trigger(event_type).is_some()) else { return false };
    let step = |at: &'static Value, word: &str| match word.strip_prefix('<') {
        Some(_any) => at.get("additionalProperties"),
        None => at.get("properties")?.get(word),
    };
    let found = field.split('.').try_fold(schema, step);
    found.and_then(|property| property.get("description")).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_hold_the_schemas_of_the_catalogues_triggers_and_no_others() {
        let mut keys = Vec::new();
        for (group, text) in FILES {
            let file: BTreeMap<String, Written> = serde_json::from_str(text).unwrap();
            for key in file.into_keys() {
                assert_eq!(trigger(&key).map(|entry| entry.group), Some(group), "{key}");
                keys.push(key);
            }
        }
        assert_eq!(keys.len(), 54);
        assert_eq!(PAYLOADS.len(), 54);
    }

    #[test]
    fn every_schema_is_valid_by_the_draft_it_names() {
        for entry in triggers() {
            let schema = schema(entry.key).unwrap();
            assert!(jsonschema::draft202012::meta::is_valid(schema), "{}", entry.key);
        }
    }

    #[test]
    fn every_example_is_valid_and_shows_every_field() {
        for entry in triggers() {
            let example = example(entry.key).unwrap();
            assert_eq!(check(entry.key, example), Ok(()), "{}", entry.key);
            for field in entry.data {
                let first = field.split('.').next().unwrap_or_default();
                assert!(example.get(first).is_some(), "the example of {} has no {first}", entry.key);
            }
        }
    }

    #[test]
    fn every_field_of_the_catalogue_is_described() {
        for entry in triggers() {
            for field in entry.data {
                assert!(describes(entry.key, field), "{} {field}", entry.key);
            }
            let described = schema(entry.key).unwrap()["properties"].as_object().unwrap();
            for property in described.keys() {
                let listed = entry.data.iter().any(|field| field.split('.').next() == Some(property));
                assert!(listed, "{} describes {property}, which the catalogue does not list", entry.key);
            }
        }
        assert!(!describes("order.created", "colour") && !describes("invoice.overdue", "total"));
    }

    #[test]
    fn unknown_fields_are_welcome_and_wrong_types_are_named_with_their_place() {
        assert_eq!(check("contact.tag_added", &json!({ "tag": "vip", "by": { "anyone": 1 } })), Ok(()));
        assert_eq!(check("invoice.overdue", &json!({ "anything": [] })), Ok(()));
        let found =
            check("order.created", &json!({ "order_id": 7, "items": [{ "price": "free" }] })).unwrap_err();
        let places: Vec<&str> = found.iter().map(|mismatch| mismatch.at.as_str()).collect();
        assert_eq!(places, ["/items/0/price", "/order_id"]);
        let found = check("subscription.renewed", &json!({ "period_end": "tomorrow" })).unwrap_err();
        assert_eq!(found.len(), 2, "{found:?}");
        // What was sent may be personal, and an answer may be logged.
        assert!(found.iter().all(|mismatch| !mismatch.detail.contains("tomorrow")), "{found:?}");
    }

    #[test]
    fn what_the_engine_publishes_follows_its_own_schemas() {
        for (event_type, data) in [
            ("contact.tag_added", json!({ "tag": "vip" })),
            (
                "contact.updated",
                json!({ "changes": { "fields": { "plan": { "from": null, "to": "pro" } } } }),
            ),
            ("task.created", json!({ "task_id": "t", "title": "Call", "due_at": null, "assignee_id": null })),
        ] {
            assert_eq!(check(event_type, &data), Ok(()), "{event_type}");
        }
    }
}
