//! `stop_workflow`: ends the run.

use super::{Behaviour, Kind, NodeText, Ways};
use crate::catalogue::{ActionEntry, Effect};
use crate::facts::FieldPath;
use crate::interpreter::{End, Onward, Visit, Walk};
use crate::workflow::compile::{Keys, Reader};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) static KIND: StopKind = StopKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "stop_workflow",
    group: "flow",
    description: "Ends the run.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys { what: "stop_workflow", known: &[], later: &[] };

#[derive(Debug)]
pub(super) struct StopKind;

impl Kind for StopKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({ "type": "object", "properties": {}, "additionalProperties": false })
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        reader.section(node.with, node.at, &WITH)?;
        Some(Arc::new(Stop))
    }
}

/// A node that ends the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop;

impl Behaviour for Stop {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        Vec::new()
    }

    fn ways(&self) -> Ways<'_> {
        Ways::None
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        walk.complete(visit, Value::Null);
        walk.end(End::Completed)
    }
}
