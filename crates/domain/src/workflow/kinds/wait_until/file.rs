//! How a wait stands in a workflow file: its schema, and how it is read.

use super::{Alternative, ENTRY, TIMEOUT, Wait, WaitKind};
use crate::catalogue::ActionEntry;
use crate::template::ValueTemplate;
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::event_filter::{EventFilter, look_back};
use crate::workflow::kinds::{Behaviour, Kind, NodeText};
use crate::workflow::schema::definitions;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most alternatives of a wait, and most events that put its time-out off.
const MOST: usize = 50;

const WITH: Keys =
    Keys { what: "wait_until", known: &["any", "timeout", "look_back", "restart"], later: &[] };

const ALTERNATIVE: Keys = Keys { what: "an alternative", known: &["name", "event", "where"], later: &[] };

const RESTART: Keys = Keys { what: "a restart", known: &["event", "where"], later: &[] };

impl Kind for WaitKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        let filter = EventFilter::schema();
        let condition = json!({
            "$ref": "#/$defs/condition",
            "description": "Beside event: what has to hold of it. Without event: a condition, asked whenever what it reads may have \
                changed.",
        });
        json!({
            "type": "object",
            "properties": {
                "any": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MOST,
                    "description": "What is waited for, each with a way of its own; asked in this order.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "$ref": "#/$defs/name", "not": { "const": TIMEOUT } },
                            "event": filter["event"],
                            "where": condition,
                        },
                        "required": ["name"],
                        "anyOf": [{ "required": ["event"] }, { "required": ["where"] }],
                        "additionalProperties": false,
                    },
                },
                "timeout": {
                    "$ref": "#/$defs/duration",
                    "description": "How long to wait; then the way called timeout is taken.",
                },
                "look_back": {
                    "$ref": "#/$defs/duration",
                    "description": "How long before the wait an event may have happened. Without it: since the event that \
                        started the run.",
                },
                "restart": {
                    "type": "array",
                    "maxItems": MOST,
                    "description": "Events after which the time-out counts anew.",
                    "items": {
                        "type": "object",
                        "properties": filter,
                        "required": ["event"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["any"],
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        reader.required(section, "any");
        let alternatives = alternatives(reader, section);
        let restarts = restarts(reader, section);
        let timeout = match section.get("timeout") {
            Some(value) => Some(timeout(reader, value, &section.at("timeout"))?),
            None => None,
        };
        if timeout.is_none() {
            let message = "without a timeout, a run whose event never comes waits for ever";
            reader.warn("no_timeout", node.at, message);
            if section.get("restart").is_some() {
                let message = "there is no timeout that could be restarted";
                reader.problem::<()>("misplaced_key", section.at("restart"), message);
            }
        }
        let look_back = look_back(reader, section, "a wait");
        if section.get("look_back").is_some() != look_back.is_some() {
            return None;
        }
        Some(Arc::new(Wait { alternatives: alternatives?, restarts: restarts?, timeout, look_back }))
    }
}

/// One that could not be read would make its edge look wrong too.
fn alternatives(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Vec<(String, Alternative)>> {
    let items = few(reader, section, "any")?;
    if items.is_empty() {
        return reader.problem("bad_value", section.at("any"), "a wait needs at least one alternative");
    }
    let mut names = BTreeSet::new();
    let mut alternatives = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{}[{index}]", section.at("any"));
        let Some(item) = reader.section(item, &at, &ALTERNATIVE) else { continue };
        let name = reader.name(item, "name");
        if name == Some(TIMEOUT) {
            let message =
                "timeout is the way taken when nothing came in time; give the alternative another name";
            reader.problem::<()>("bad_name", item.at("name"), message);
        }
        if let Some(name) = name.filter(|name| !names.insert((*name).to_owned())) {
            let message = format!("two alternatives of the wait are called \"{name}\"");
            reader.problem::<()>("duplicate_id", item.at("name"), message);
        }
        let awaited = if item.get("event").is_some() {
            EventFilter::read(reader, item).map(Alternative::Event)
        } else if item.get("where").is_some() {
            reader.condition(item, "where").map(Alternative::Condition)
        } else {
            reader.problem("missing_key", &at, "an alternative needs \"event\", \"where\" or both")
        };
        if let (Some(name), Some(awaited)) = (name, awaited) {
            alternatives.push((name.to_owned(), awaited));
        }
    }
    (alternatives.len() == items.len()).then_some(alternatives)
}

fn restarts(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Vec<EventFilter>> {
    let items = few(reader, section, "restart")?;
    let mut restarts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{}[{index}]", section.at("restart"));
        if let Some(item) = reader.section(item, &at, &RESTART) {
            restarts.extend(EventFilter::read(reader, item));
        }
    }
    (restarts.len() == items.len()).then_some(restarts)
}

fn few<'v>(reader: &mut Reader<'_>, section: Section<'v>, key: &str) -> Option<&'v [Value]> {
    let items = reader.list(section, key)?;
    if items.len() > MOST {
        let message = format!("at most {MOST}; this has {}", items.len());
        return reader.problem("bad_value", section.at(key), message);
    }
    Some(items)
}

fn timeout(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<ValueTemplate> {
    let timeout = reader.template(value, at)?;
    if timeout.is_literal() {
        reader.duration(value, at)?;
    }
    Some(timeout)
}
