//! The JSON Schema of files of tests, for editors. Reading checks more, and says it in better words.

use super::expected::{CONTACT, RUN};
use super::{Listed, MOST_ANSWERS, MOST_CASES, MOST_HAPPENINGS};
use crate::answers::Failure;
use crate::run::Ended;
use serde_json::{Map, Value, json};

/// The JSON Schema (2020-12) of a file of tests.
pub fn schema() -> Value {
    let answer = json!({ "$ref": "#/$defs/answer" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tests of a workflow of Automation Engine",
        "type": "object",
        "properties": {
            "workflow": { "type": "string", "minLength": 1, "description": "The workflow's file, seen from this one; the one beside it with the same name without it." },
            "cases": { "type": "array", "minItems": 1, "maxItems": MOST_CASES, "items": { "$ref": "#/$defs/case" } },
        },
        "required": ["cases"],
        "additionalProperties": false,
        "$defs": {
            "case": {
                "type": "object",
                "properties": {
                    "name": { "type": "string", "minLength": 1, "description": "What the case shows." },
                    "given": { "$ref": "#/$defs/given" },
                    "when": { "type": "array", "maxItems": MOST_HAPPENINGS, "items": happens() },
                    "answers": {
                        "type": "object",
                        "description": "What requests come to, by node: in each run the nth gets the nth, all that follow the last one. Without it, 200 and nothing more.",
                        "additionalProperties": { "oneOf": [answer, { "type": "array", "minItems": 1, "maxItems": MOST_ANSWERS, "items": answer }] },
                    },
                    "until": { "$ref": "#/$defs/moment", "description": "How long it plays; without it until nothing more would happen." },
                    "expect": expect(),
                },
                "required": ["name", "expect"],
                "additionalProperties": false,
            },
            "given": {
                "type": "object",
                "properties": {
                    "at": { "type": "string", "format": "date-time", "description": "When the case begins." },
                    "tenant": { "type": "string", "description": "The tenant's key: splits place contacts by it." },
                    "timezone": { "type": "string", "description": "The tenant's, an IANA name; UTC without it." },
                    "contacts": { "type": "object", "additionalProperties": { "$ref": "#/$defs/contact" } },
                    "with": { "type": "array", "items": { "type": "string" }, "description": "Files of other workflows that play along." },
                },
                "additionalProperties": false,
            },
            "contact": contact(),
            "answer": {
                "type": "object",
                "oneOf": [
                    {
                        "properties": {
                            "status": { "type": "integer", "minimum": 200, "maximum": 599 },
                            "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                            "body": { "description": "A text as it is, anything else as JSON." },
                        },
                        "required": ["status"],
                        "additionalProperties": false,
                    },
                    {
                        "properties": { "failure": { "enum": Failure::ALL.map(|(word, _)| word) } },
                        "required": ["failure"],
                        "additionalProperties": false,
                    },
                ],
            },
            "moment": {
                "type": "string",
                "pattern": "^(([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?|[0-9]{4}-[0-9]{2}-[0-9]{2}T.+)$",
                "description": "So long after the case begins (2d, 1h30m), or a time by RFC 3339.",
            },
        },
    })
}

fn happens() -> Value {
    let moment = json!({ "$ref": "#/$defs/moment" });
    let (text, texts) =
        (json!({ "type": "string" }), json!({ "type": "array", "items": { "type": "string" } }));
    let object = |properties: Value, required: &str| json!({ "type": "object", "properties": properties, "required": [required], "additionalProperties": false });
    json!({
        "oneOf": [
            object(json!({
                "at": moment, "event": text, "subject": text, "data": { "type": "object" }, "source": text, "id": text,
                "time": { "type": "string", "format": "date-time", "description": "When it happened, where that is not when it comes." },
            }), "event"),
            object(json!({
                "at": moment, "contact": text, "set": { "type": "object" }, "add_tags": texts, "remove_tags": texts,
                "enter_segments": texts,
            }), "contact"),
            object(json!({ "at": moment, "schedule": text, "workflow": text }), "schedule"),
        ],
    })
}

fn contact() -> Value {
    let of = |key: &str| match key {
        "score" => json!({ "type": "number" }),
        "tags" | "segments" => json!({ "type": "array", "items": { "type": "string" } }),
        "fields" | "consent" => json!({ "type": "object" }),
        _ => json!({ "type": ["string", "null"] }),
    };
    let properties: Map<String, Value> =
        CONTACT.known.iter().map(|key| ((*key).to_owned(), of(key))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn expect() -> Value {
    let mut properties = json!({
        "runs": { "type": "array", "items": run(), "description": "All runs of the tested workflow, in their order." },
        "contacts": {
            "type": "object",
            "additionalProperties": { "$ref": "#/$defs/contact" },
            "description": "Contacts at the end; what is not said is not looked at.",
        },
    });
    for (kind, keys) in &Listed::ALL {
        let of = |key: &str| match key {
            "at" | "due_at" => json!({ "$ref": "#/$defs/moment" }),
            _ => json!(true),
        };
        let known: Map<String, Value> = keys.known.iter().map(|key| ((*key).to_owned(), of(key))).collect();
        properties[kind.key()] = json!({
            "type": "array",
            "items": { "type": "object", "properties": known, "additionalProperties": false },
            "description": format!("All {} of the case, in their order; of each, what is not said is not looked at.", kind.key()),
        });
    }
    json!({ "type": "object", "properties": properties, "minProperties": 1, "additionalProperties": false })
}

fn run() -> Value {
    let of = |key: &str| match key {
        "end" => json!({ "enum": Ended::ALL.map(|(word, _)| word) }),
        "at" => json!({ "$ref": "#/$defs/moment", "description": "When it ended." }),
        "ways" | "vars" | "outputs" | "errors" => json!({ "type": "object" }),
        "steps" | "passes" | "never" | "waits_at" => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        _ => json!({ "type": "string" }),
    };
    let properties: Map<String, Value> = RUN.known.iter().map(|key| ((*key).to_owned(), of(key))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
