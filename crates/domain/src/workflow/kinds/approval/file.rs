//! How an approval stands in a workflow file: its schema, and how it is read.

use super::{Approval, ApprovalKind, ENTRY, MOST_REMINDERS, QUESTION_BYTES, Reminder};
use crate::catalogue::ActionEntry;
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::kinds::{Behaviour, Kind, NodeText, length::Length};
use crate::workflow::schema::definitions;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;

/// Most people that one node asks.
const MOST_APPROVERS: usize = 50;

/// Longest name of one, in bytes.
const NAME_BYTES: usize = 200;

/// Shortest time between two reminders.
const SHORTEST: TimeDelta = TimeDelta::minutes(1);

const WITH: Keys =
    Keys { what: "an approval", known: &["question", "approvers", "timeout", "reminder"], later: &[] };

const REMINDER: Keys = Keys { what: "a reminder", known: &["after", "every"], later: &[] };

impl Kind for ApprovalKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "question": {
                    "type": "string",
                    "minLength": 1,
                    "description": format!("What is to be approved, with templates in it; at most {QUESTION_BYTES} bytes once they are worked out."),
                },
                "approvers": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MOST_APPROVERS,
                    "items": { "type": "string", "minLength": 1, "maxLength": NAME_BYTES },
                    "description": "The names of those who are asked.",
                },
                "timeout": {
                    "description": "How long there is for an answer; then the way called timeout is taken.",
                    "anyOf": [{ "$ref": "#/$defs/duration" }, { "$ref": "#/$defs/template" }],
                },
                "reminder": {
                    "type": "object",
                    "description": format!("When those who are asked are reminded, at most {MOST_REMINDERS} times."),
                    "properties": {
                        "after": { "$ref": "#/$defs/duration", "description": "How long after they were asked." },
                        "every": { "$ref": "#/$defs/duration", "description": "How long after each reminder the next one follows." },
                    },
                    "required": ["after"],
                    "additionalProperties": false,
                },
            },
            "required": ["question", "approvers"],
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        // The schema says which options do.
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let question = reader.text(section, "question").is_some();
        let question = section
            .get("question")
            .filter(|_| question)
            .and_then(|value| reader.template(value, &section.at("question")));
        let approvers = approvers(reader, section);
        let timeout = Length::read(reader, section, "timeout");
        if section.get("timeout").is_none() {
            reader.warn("no_timeout", node.at, "without a timeout, a run that nobody answers waits for ever");
        }
        let reminder = reminder(reader, section)?;
        Some(Arc::new(Approval { approvers: approvers?, question: question?, timeout: timeout?, reminder }))
    }
}

fn approvers(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Vec<String>> {
    reader.required(section, "approvers")?;
    let (items, at) = (reader.list(section, "approvers")?, section.at("approvers"));
    if items.is_empty() || items.len() > MOST_APPROVERS {
        let message = format!("must name from 1 to {MOST_APPROVERS}; this has {}", items.len());
        return reader.problem("bad_value", at, message);
    }
    let mut names = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let name = item.as_str().map(str::trim);
        match name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES && !name.contains('\0')) {
            Some(name) => names.push(name.to_owned()),
            None => {
                let message = format!("is no name: a text of 1 to {NAME_BYTES} bytes");
                reader.problem::<()>("bad_value", format!("{at}[{index}]"), message);
            }
        }
    }
    (names.len() == items.len()).then_some(names)
}

fn reminder(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Option<Reminder>> {
    let Some(value) = section.get("reminder") else { return Some(None) };
    let at = section.at("reminder");
    let reminder = reader.section(value, &at, &REMINDER)?;
    reader.required(reminder, "after")?;
    let mut length = |key: &str| {
        let length = reader.duration(reminder.get(key)?, &reminder.at(key))?;
        if length < SHORTEST {
            let message = "reminders are at least a minute apart";
            return reader.problem("bad_value", reminder.at(key), message);
        }
        Some(length)
    };
    let (after, every) = (length("after"), length("every"));
    if reminder.get("every").is_some() && every.is_none() {
        return None;
    }
    Some(Some(Reminder { after: after?, every }))
}
