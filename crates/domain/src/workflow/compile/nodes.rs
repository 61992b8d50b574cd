//! The boxes of the graph.

use super::handling::{self, OnError};
use super::reader::{Keys, Reader, Section};
use crate::problem::nearest_hint;
use crate::workflow::kinds::{Behaviour, NodeText};
use serde_json::{Map, Value};
use std::sync::Arc;

const NODE: Keys = Keys {
    what: "a node",
    known: &["id", "action", "with", "timeout", "delivery", "retry", "on_error"],
    later: &[],
};

/// A node before its edges are known.
pub(super) struct DraftNode {
    pub(super) at: String,
    pub(super) id: Option<String>,
    /// `None` when it could not be read; its problems are kept.
    pub(super) behaviour: Option<Arc<dyn Behaviour>>,
    /// Where it goes on when its step fails.
    pub(super) on_error: Option<OnError>,
}

/// The nodes; `None` for more than there may be: of such a graph nothing else is worth saying.
pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Option<Vec<DraftNode>> {
    let Some(items) = reader.list(document, "nodes") else {
        return Some(Vec::new());
    };
    if items.is_empty() {
        reader.problem::<()>("no_nodes", "nodes", "a workflow needs at least one node");
    }
    if items.len() > reader.limits.nodes {
        let message =
            format!("a workflow may have at most {} nodes; this has {}", reader.limits.nodes, items.len());
        return reader.problem("too_many_nodes", "nodes", message);
    }
    let mut nodes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("nodes[{index}]");
        let mut draft = DraftNode { at: at.clone(), id: None, behaviour: None, on_error: None };
        if let Some(section) = reader.section(item, &at, &NODE) {
            draft.id = reader.name(section, "id").map(str::to_owned);
            draft.behaviour = behaviour(reader, section);
            draft.on_error = handling::on_error(reader, section);
        }
        nodes.push(draft);
    }
    Some(nodes)
}

fn behaviour(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Arc<dyn Behaviour>> {
    let action = reader.text(section, "action")?;
    let Some(known) = reader.types.get(action) else {
        return unknown_action(reader, action, section.at("action"));
    };
    let nothing = Value::Object(Map::new());
    let with = section.get("with").unwrap_or(&nothing);
    let sending = handling::sending(reader, section, known.kind);
    known.kind.read(NodeText { with, at: &section.at("with"), sending }, reader)
}

fn unknown_action<T>(reader: &mut Reader<'_>, action: &str, at: String) -> Option<T> {
    if reader.types.entry(action).is_some() {
        return reader.problem("not_available", at, format!("the action {action} is not available yet"));
    }
    let hint = nearest_hint(action, reader.types.entries().map(|entry| entry.key));
    reader.problem("unknown_action", at, format!("there is no action \"{action}\"{hint}"))
}
