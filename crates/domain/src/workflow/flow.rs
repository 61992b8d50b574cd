//! The actions that the interpreter handles itself: their keys and their contracts.

use super::ActionContract;
use super::schema::definitions;
use serde_json::json;

/// Waits for a duration.
pub(super) const DELAY: &str = "delay";
/// Goes the way of the first case that holds.
pub(super) const BRANCH: &str = "branch";
/// Ends the run.
pub(super) const STOP: &str = "stop_workflow";
/// The case of a branch that is taken when no other holds.
pub(super) const ELSE: &str = "else";

/// The contracts of the actions that are part of the interpreter.
pub fn flow_contracts() -> Vec<ActionContract> {
    let delay = json!({
        "type": "object",
        "properties": {
            "for": { "$ref": "#/$defs/duration", "description": "How long to wait: 30s, 15m, 1h, 7d or 1h30m." },
        },
        "required": ["for"],
        "additionalProperties": false,
        "$defs": { "duration": definitions()["duration"] },
    });
    let branch = json!({
        "type": "object",
        "properties": {
            "cases": {
                "type": "array",
                "minItems": 1,
                "description": "Ways out, tried in this order; the way called else is taken when none holds.",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": { "$ref": "#/$defs/name", "not": { "const": ELSE } },
                        "where": { "$ref": "#/$defs/condition" },
                    },
                    "required": ["name", "where"],
                    "additionalProperties": false,
                },
            },
        },
        "required": ["cases"],
        "additionalProperties": false,
        "$defs": definitions(),
    });
    let stop = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    [(DELAY, delay), (BRANCH, branch), (STOP, stop)]
        .into_iter()
        .map(|(key, config_schema)| ActionContract {
            key,
            config_schema,
            needs_contact: false,
            uses_contact: false,
            check: |_| Vec::new(),
        })
        .collect()
}
