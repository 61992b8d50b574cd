//! `parallel`: a token goes several ways at once, and the branches may meet again.

use super::{Behaviour, Kind, NodeText, Role, Target, Ways};
use crate::catalogue::{ActionEntry, Effect};
use crate::facts::FieldPath;
use crate::interpreter::{JOIN_AT, Join, JoinRule, MOST_BRANCHES, Onward, Visit, Walk};
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::schema::definitions;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) static KIND: ParallelKind = ParallelKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "parallel",
    group: "flow",
    description: "Goes several ways at the same time and joins them again.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys { what: "a parallel", known: &["join", JOIN_AT, "dead_after"], later: &[] };

const JOIN: Keys = Keys { what: "join", known: &["at_least"], later: &[] };

/// How long a join waits for a branch that died, unless told.
const DEAD_AFTER: TimeDelta = TimeDelta::days(14);

#[derive(Debug)]
pub(super) struct ParallelKind;

impl Kind for ParallelKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "join": {
                    "description": "How many branches have to arrive; all without it. Those it does not wait for are given up.",
                    "oneOf": [
                        { "enum": ["all", "any"] },
                        {
                            "type": "object",
                            "properties": { "at_least": { "type": "integer", "minimum": 1, "maximum": MOST_BRANCHES } },
                            "required": ["at_least"],
                            "additionalProperties": false,
                        },
                    ],
                },
                "join_at": { "$ref": "#/$defs/name", "description": "The node where the branches meet; without one each ends on its own." },
                "dead_after": { "$ref": "#/$defs/duration", "description": "How long the join waits for a branch that failed for good; 14d without it." },
            },
            "dependentRequired": { "join": ["join_at"], "dead_after": ["join_at"] },
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let rule = match section.get("join") {
            None => Some(JoinRule::All),
            Some(value) => rule(reader, value, &section.at("join")),
        };
        let dead_after = match section.get("dead_after") {
            None => Some(DEAD_AFTER),
            Some(value) => reader.duration(value, &section.at("dead_after")),
        };
        let join_at = match section.get(JOIN_AT) {
            None => {
                needs_join_at(reader, section);
                None
            }
            Some(_) => Some(reader.name(section, JOIN_AT)?.to_owned()),
        };
        let join = Join { rule: rule?, dead_after: dead_after? };
        Some(Arc::new(Parallel { meeting: join_at.map(|join_at| (join_at, join)) }))
    }
}

/// Without a node to meet at there is nothing to say of how.
fn needs_join_at(reader: &mut Reader<'_>, section: Section<'_>) {
    for key in ["join", "dead_after"] {
        if section.get(key).is_some() {
            let message = format!("\"{key}\" says how branches meet: name the node where, as {JOIN_AT}");
            reader.problem::<()>("missing_key", section.at(key), message);
        }
    }
}

fn rule(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<JoinRule> {
    match value {
        Value::String(word) if word == "all" => Some(JoinRule::All),
        Value::String(word) if word == "any" => Some(JoinRule::AtLeast(1)),
        Value::Object(_) => {
            let section = reader.section(value, at, &JOIN)?;
            let number = reader.required(section, "at_least")?;
            let inside = number.as_u64().and_then(|number| u16::try_from(number).ok());
            match inside.filter(|number| (1..=MOST_BRANCHES).contains(&usize::from(*number))) {
                Some(number) => Some(JoinRule::AtLeast(number)),
                None => {
                    let message = format!("{number} is no number of branches: write 1 to {MOST_BRANCHES}");
                    reader.problem("bad_value", section.at("at_least"), message)
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            reader.problem("bad_value", at, format!("{value} is none of all, any, {{ at_least: <number> }}"))
        }
    }
}

/// A node that goes all its plain edges at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parallel {
    /// Where its branches meet, and what they wait for there; `None`: each ends on its own.
    pub meeting: Option<(String, Join)>,
}

impl Behaviour for Parallel {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        Vec::new()
    }

    fn ways(&self) -> Ways<'_> {
        Ways::Branches
    }

    fn targets(&self) -> Vec<Target<'_>> {
        let meeting = self.meeting.iter();
        meeting.map(|(node, _)| Target { key: JOIN_AT, node, role: Role::Meeting }).collect()
    }

    fn join(&self) -> Option<&Join> {
        self.meeting.as_ref().map(|(_, join)| join)
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        walk.fork(visit, &visit.node.branches)
    }
}
