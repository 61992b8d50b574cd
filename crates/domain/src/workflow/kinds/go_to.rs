//! `go_to`: a token goes on at another node, so many times and no more.

use super::{Behaviour, Kind, NodeText, Role, Target, Ways};
use crate::catalogue::{ActionEntry, Effect};
use crate::facts::FieldPath;
use crate::interpreter::{Onward, StepError, Visit, Walk};
use crate::step_code::StepCode;
use crate::workflow::compile::{Keys, Reader};
use crate::workflow::schema::definitions;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) static KIND: GoToKind = GoToKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "go_to",
    group: "flow",
    description: "Goes on at another node, also one before it, so many times at most.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys { what: "a go_to", known: &[NODE, "most"], later: &[] };

/// The option that names where it leads.
const NODE: &str = "node";

/// The way that is taken once it has led there as often as it may.
const EXHAUSTED: &str = "exhausted";

/// The largest bound.
const MOST: u32 = 1_000;

#[derive(Debug)]
pub(super) struct GoToKind;

impl Kind for GoToKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "node": { "$ref": "#/$defs/name", "description": "The node to go on at." },
                "most": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MOST,
                    "description": "How many times a run may go there; after that it takes the way called exhausted, or fails.",
                },
            },
            "required": ["node", "most"],
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let to = reader.name(section, NODE).map(str::to_owned);
        let number = reader.required(section, "most");
        let most = number.and_then(|number| {
            let inside = number.as_u64().and_then(|number| u32::try_from(number).ok());
            inside.filter(|number| (1..=MOST).contains(number)).or_else(|| {
                let message = format!("{number} is no bound: write a number from 1 to {MOST}");
                reader.problem("bad_value", section.at("most"), message)
            })
        });
        Some(Arc::new(GoTo { node: to?, most: most? }))
    }
}

/// A node that leads to another, so many times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoTo {
    /// Where it leads.
    pub node: String,
    /// How many times in a run.
    pub most: u32,
}

impl Behaviour for GoTo {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        Vec::new()
    }

    fn ways(&self) -> Ways<'_> {
        Ways::Optional(&[EXHAUSTED])
    }

    fn targets(&self) -> Vec<Target<'_>> {
        vec![Target { key: NODE, node: &self.node, role: Role::Jump }]
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        if visit.number <= self.most {
            walk.complete(visit, json!({ "to": self.node, "time": visit.number, "most": self.most }));
            return Onward::To(visit.node.ways.get(NODE).copied());
        }
        let Some(to) = visit.node.ways.get(EXHAUSTED) else {
            let message = format!("the run went to \"{}\" {} times, and may not again", self.node, self.most);
            return walk.fail(visit, StepError { code: StepCode::GoToExhausted.into(), message });
        };
        walk.result(visit).case = Some(EXHAUSTED.to_owned());
        walk.complete(visit, json!({ "case": EXHAUSTED }));
        Onward::To(Some(*to))
    }
}
