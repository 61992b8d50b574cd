//! The published JSON Schema of the workflow format.
//!
//! It is for editors and for people who generate definitions: it allows only what this version executes. The
//! compiler checks more (references, paths, syntax of templates) and says it in better words.

use super::compile::{exits, handling};
use super::event_filter::EventFilter;
use super::{Delivery, Goal, MostRuns, NodeTypes};
use crate::catalogue;
use crate::condition::Kind;
use crate::priority::Priority;
use crate::retry::MOST_ATTEMPTS;
use crate::schedule::{CatchUp, EVENT_PREFIX};
use serde_json::{Map, Value, json};

const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// The JSON Schema (2020-12) of a workflow file with the configuration of every available action.
pub fn json_schema(types: &NodeTypes) -> Value {
    let actions: Vec<&str> = types.iter().map(|known| known.kind.entry().key).collect();
    let configurations: Vec<Value> = types
        .iter()
        .map(|known| {
            let mut with = known.schema.clone();
            // Definitions resolve against the root of this document, which has the same ones.
            if let Some(members) = with.as_object_mut() {
                members.remove("$defs");
            }
            if known.kind.takes_templates() {
                allow_templates(&mut with);
            }
            let needs_with = with.get("oneOf").is_some()
                || with.get("required").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty());
            let required: &[&str] = if needs_with { &["with"] } else { &[] };
            let mut then = json!({ "properties": { "with": with }, "required": required });
            for key in handling::KEYS.into_iter().filter(|key| !handling::makes_sense(key, known.kind)) {
                then["properties"][key] = json!(false);
            }
            json!({ "if": { "properties": { "action": { "const": known.kind.entry().key } } }, "then": then })
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow of Automation Engine",
        "type": "object",
        "properties": {
            "apiVersion": { "const": super::compile::API_VERSION },
            "key": { "$ref": "#/$defs/name", "description": "Stable within the tenant." },
            "name": { "type": "string", "pattern": "\\S", "description": "For people; the key without one." },
            "owner": {
                "type": "string",
                "pattern": "\\S",
                "maxLength": super::compile::LONGEST_OWNER,
                "description": "Whose workflow it is: a name, for people.",
            },
            "priority": { "enum": Priority::ALL.map(Priority::as_str), "description": "Overrides the triggers' priorities." },
            "enrolment": enrolment(),
            "goal": Goal::schema(),
            "exit": { "type": "array", "maxItems": exits::MOST, "items": exit() },
            "triggers": { "type": "array", "minItems": 1, "items": trigger() },
            "nodes": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "id": { "$ref": "#/$defs/name" },
                        "action": { "enum": actions },
                        "with": { "type": "object" },
                        "timeout": { "$ref": "#/$defs/duration", "description": "For one whole exchange with the other side, from 1s to 10m; for actions that reach outside." },
                        "delivery": { "enum": Delivery::ALL.map(Delivery::as_str), "description": "How often a request may arrive; for actions that reach outside." },
                        "retry": retry(),
                        "on_error": { "$ref": "#/$defs/name", "description": "The node to go on with when the step fails; without one the run fails." },
                    },
                    "required": ["id", "action"],
                    "additionalProperties": false,
                    "allOf": configurations,
                },
            },
            "edges": { "type": "array", "items": edge() },
        },
        "required": ["apiVersion", "key", "triggers", "nodes"],
        "additionalProperties": false,
        "$defs": definitions(),
    })
}

fn enrolment() -> Value {
    json!({
        "type": "object",
        "description": "Who is let in, and how often.",
        "properties": {
            "key": { "type": "string", "minLength": 1, "description": "What a run is unique by; the contact without one." },
            "where": { "$ref": "#/$defs/condition" },
            "suppress": { "$ref": "#/$defs/condition", "description": "Who never enters." },
            "reentry": {
                "type": "object",
                "properties": {
                    "mode": { "enum": ["once", "always", "after_exit"] },
                    "gap": { "$ref": "#/$defs/duration" },
                    "max": {
                        "type": "object",
                        "description": "How many runs of a key may begin within any time of a length.",
                        "properties": {
                            "runs": { "type": "integer", "minimum": 1, "maximum": MostRuns::LIMIT },
                            "per": { "$ref": "#/$defs/duration" },
                        },
                        "required": ["runs", "per"],
                        "additionalProperties": false,
                    },
                },
                "required": ["mode"],
                "additionalProperties": false,
                "if": { "required": ["gap"] },
                "then": { "properties": { "mode": { "const": "after_exit" } } },
            },
            "on_conflict": { "enum": ["ignore", "start", "supersede"] },
        },
        "additionalProperties": false,
    })
}

fn exit() -> Value {
    let mut properties = EventFilter::schema();
    properties["look_back"] = json!({
        "$ref": "#/$defs/duration",
        "description": "How long before the event that started the run it may have happened.",
    });
    json!({
        "type": "object",
        "description": "An event that ends the run, whatever it is at.",
        "properties": properties,
        "required": ["event"],
        "additionalProperties": false,
    })
}

fn retry() -> Value {
    let delays = json!({
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_ATTEMPTS,
        "items": { "$ref": "#/$defs/duration" },
        "description": "One entry per attempt: how long after the one before. The first is 0s.",
    });
    json!({
        "description": "How a failed step is tried again; for actions that reach outside.",
        "oneOf": [
            { "enum": ["ladder", "none"] },
            {
                "type": "object",
                "properties": { "delays": delays },
                "required": ["delays"],
                "additionalProperties": false,
            },
        ],
    })
}

fn trigger() -> Value {
    let or = |what: &str, other: &str| json!({ "required": [what], "not": { "required": [other] } });
    let known: Vec<&str> = catalogue::triggers()
        .iter()
        .map(|entry| entry.key)
        .filter(|key| !key.starts_with(EVENT_PREFIX))
        .collect();
    json!({
        "type": "object",
        "properties": {
            "id": { "$ref": "#/$defs/name" },
            "event": {
                "type": "string",
                "pattern": "^(?!schedule\\.)(?=.{1,128}$)[a-z0-9_-]+(\\.[a-z0-9_-]+)*$",
                "examples": known,
                "description": "A key of the catalogue, or the type of an event of your own.",
            },
            "schedule": schedule(),
            "where": { "$ref": "#/$defs/condition" },
        },
        "required": ["id"],
        "oneOf": [or("event", "schedule"), or("schedule", "event")],
        "additionalProperties": false,
    })
}

fn schedule() -> Value {
    let time =
        |description: &str| json!({ "type": "string", "format": "date-time", "description": description });
    let words = CatchUp::ALL.map(|(word, _)| word);
    let common = [
        (
            "catch_up",
            json!({ "enum": words, "default": "latest", "description": "What becomes of slots that were missed." }),
        ),
        (
            "jitter",
            json!({ "$ref": "#/$defs/duration", "description": "Each slot's event is delayed by less than this, at most 1h." }),
        ),
        ("starts_at", time("No slot is earlier.")),
        ("ends_at", time("Every slot is earlier.")),
    ];
    let kind = |required: &str, own: [(&str, Value); 2]| {
        let properties: Map<String, Value> =
            own.into_iter().chain(common.clone()).map(|(key, schema)| (key.to_owned(), schema)).collect();
        json!({
            "type": "object",
            "properties": properties,
            "required": [required],
            "additionalProperties": false,
        })
    };
    let cron = [
        (
            "cron",
            json!({
                "type": "string",
                "pattern": "^\\s*(\\S+\\s+){4,5}\\S+\\s*$",
                "description": "Minute, hour, day of month, month, day of week; six fields begin with the second.",
                "examples": ["30 2 * * *", "0 9 * * MON-FRI", "0 0 L * *"],
            }),
        ),
        (
            "timezone",
            json!({ "type": "string", "default": "UTC", "description": "IANA name, such as Europe/Berlin." }),
        ),
    ];
    let every = [
        (
            "every",
            json!({ "$ref": "#/$defs/duration", "description": "Elapsed time from one slot to the next." }),
        ),
        ("anchor", time("A slot of the series; the moment of publishing without one.")),
    ];
    json!({
        "description": "When the trigger fires by itself.",
        "oneOf": [kind("cron", cron), kind("every", every)],
    })
}

fn edge() -> Value {
    let text = json!({ "$ref": "#/$defs/name" });
    json!({
        "oneOf": [
            { "type": "array", "prefixItems": [text, text], "minItems": 2, "maxItems": 2 },
            {
                "type": "object",
                "properties": { "from": text, "to": text, "case": text },
                "required": ["from", "to"],
                "additionalProperties": false,
            },
        ],
    })
}

/// The definitions that other parts refer to as `#/$defs/…`, kinds among them.
pub fn definitions() -> Value {
    let (without, with): (Vec<&str>, Vec<&str>) = catalogue::operators()
        .iter()
        .map(|entry| entry.key)
        .partition(|key| ["is_empty", "is_not_empty"].contains(key));
    let leaf = |operators: Vec<&str>| {
        json!({
            "type": "object",
            "properties": { "field": { "type": "string" }, "op": { "enum": operators } },
            "required": ["field", "op"],
        })
    };
    let mut compared = leaf(with);
    compared["properties"]["value"] = json!({ "not": { "type": "null" } });
    compared["required"] = json!(["field", "op", "value"]);
    let conditions = json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/condition" } });
    let mut kinds = vec![leaf(without), compared];
    for (join, inner) in
        [("all", &conditions), ("any", &conditions), ("not", &json!({ "$ref": "#/$defs/condition" }))]
    {
        kinds.push(json!({ "type": "object", "properties": { join: inner }, "required": [join] }));
    }
    kinds.extend(relative());
    kinds.extend(aggregates());
    for kind in &mut kinds {
        kind["additionalProperties"] = json!(false);
    }
    json!({
        "name": { "type": "string", "pattern": NAME },
        "duration": { "type": "string", "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$" },
        "template": { "type": "string", "pattern": "\\{\\{|\\{%" },
        "condition": { "oneOf": kinds },
    })
}

/// Dates compared with a moment before or after now.
fn relative() -> Vec<Value> {
    let of = |key: &str| {
        json!({
            "type": "object",
            "properties": {
                "field": { "type": "string" },
                "op": { "enum": ["greater_than", "less_than", "greater_or_equal", "less_or_equal"] },
                key: { "$ref": "#/$defs/duration" },
            },
            "required": ["field", "op", key],
        })
    };
    ["from_now", "ago"].into_iter().map(of).collect()
}

/// Figures over past events of the contact.
fn aggregates() -> Vec<Value> {
    let compared = ["equals", "not_equals", "greater_than", "less_than", "greater_or_equal", "less_or_equal"];
    let mut all = Vec::new();
    for kind in Kind::ALL.map(Kind::as_str) {
        let mut events = json!({
            "type": "object",
            "properties": {
                "event": { "type": "string", "description": "Type of the events of the contact." },
                "where": { "$ref": "#/$defs/condition", "description": "Which of them: event.… is the past event." },
                "within": { "$ref": "#/$defs/duration", "description": "How old they may be, from 1m to 90d." },
            },
            "required": ["event", "within"],
            "additionalProperties": false,
        });
        if kind != Kind::Count.as_str() {
            let description = "The field of the events that is worked out.";
            events["properties"]["of"] =
                json!({ "type": "string", "pattern": "^event\\.data[.\\[]", "description": description });
            events["required"] = json!(["event", "of", "within"]);
        }
        let aggregate = |operators: &[&str], required: &[&str]| {
            let properties = json!({ kind: events, "op": { "enum": operators } });
            json!({ "type": "object", "properties": properties, "required": required })
        };
        let mut with = aggregate(&compared, &[kind, "op", "value"]);
        with["properties"]["value"] = json!({ "type": ["number", "string"] });
        all.push(with);
        all.push(aggregate(&["is_empty", "is_not_empty"], &[kind, "op"]));
    }
    all
}

/// Lets a template stand wherever a value is expected.
fn allow_templates(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(allow_template);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = members.get_mut(key).filter(|inner| inner.is_object()) {
            allow_template(inner);
        }
    }
}

fn allow_template(schema: &mut Value) {
    allow_templates(schema);
    let inner = schema.take();
    let mut outer = Map::new();
    // What people read stays outside, where editors look for it.
    if let Some(description) = inner.get("description") {
        outer.insert("description".to_owned(), description.clone());
    }
    outer.insert("anyOf".to_owned(), json!([inner, { "$ref": "#/$defs/template" }]));
    *schema = Value::Object(outer);
}
