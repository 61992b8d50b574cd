//! The boxes of the graph.

use super::config;
use super::handling::{self, OnError};
use super::reader::{Keys, Reader, Section};
use crate::catalogue;
use crate::condition::Condition;
use crate::problem::nearest_hint;
use crate::template::ValueTemplate;
use crate::workflow::Sending;
use crate::workflow::flow::{BRANCH, DELAY, ELSE, STOP};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const NODE: Keys = Keys {
    what: "a node",
    known: &["id", "action", "with", "timeout", "delivery", "retry", "on_error"],
    later: &[],
};

const DELAY_WITH: Keys = Keys {
    what: "a delay",
    known: &["for"],
    later: &["until", "at", "field", "offset", "weekdays", "timezone", "if_past"],
};

const BRANCH_WITH: Keys = Keys { what: "a branch", known: &["cases"], later: &["split", "salt"] };

const CASE: Keys = Keys { what: "a case", known: &["name", "where"], later: &["percent"] };

const STOP_WITH: Keys = Keys { what: "stop_workflow", known: &[], later: &[] };

/// A node before its edges are known.
pub(super) struct DraftNode {
    pub(super) at: String,
    pub(super) id: Option<String>,
    /// `None` when it could not be read; its problems are kept.
    pub(super) kind: Option<DraftKind>,
    /// Where it goes on when its step fails.
    pub(super) on_error: Option<OnError>,
}

/// What a node does.
pub(super) enum DraftKind {
    Action {
        action: String,
        config: ValueTemplate,
        needs_contact: bool,
        uses_contact: bool,
        sending: Sending,
    },
    Delay {
        duration: ValueTemplate,
    },
    Branch {
        cases: Vec<DraftCase>,
    },
    Stop,
}

/// A way out of a branch.
pub(super) struct DraftCase {
    pub(super) at: String,
    pub(super) name: String,
    pub(super) condition: Condition,
}

impl DraftNode {
    /// Whether it reads a field below this root, or works on the contact.
    pub(super) fn reads(&self, root: &str) -> bool {
        match &self.kind {
            Some(DraftKind::Action { config, needs_contact, uses_contact, .. }) => {
                config.reads(root) || (root == "contact" && (*needs_contact || *uses_contact))
            }
            Some(DraftKind::Delay { duration }) => duration.reads(root),
            Some(DraftKind::Branch { cases }) => cases.iter().any(|case| case.condition.reads(root)),
            Some(DraftKind::Stop) | None => false,
        }
    }
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
    let mut schemas = config::Schemas::default();
    let mut nodes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("nodes[{index}]");
        let mut draft = DraftNode { at: at.clone(), id: None, kind: None, on_error: None };
        if let Some(section) = reader.section(item, &at, &NODE) {
            draft.id = reader.name(section, "id").map(str::to_owned);
            draft.kind = kind(reader, section, &mut schemas);
            draft.on_error = handling::on_error(reader, section);
        }
        nodes.push(draft);
    }
    Some(nodes)
}

fn kind(reader: &mut Reader<'_>, section: Section<'_>, schemas: &mut config::Schemas) -> Option<DraftKind> {
    let action = reader.text(section, "action")?;
    let nothing = Value::Object(Map::new());
    let with = section.get("with").unwrap_or(&nothing);
    let at = section.at("with");
    let sending = handling::sending(reader, section, action);
    match action {
        DELAY => delay(reader, with, &at),
        BRANCH => branch(reader, with, &at),
        STOP => reader.section(with, &at, &STOP_WITH).map(|_| DraftKind::Stop),
        _ => {
            let Some(contract) = reader.contracts.get(action) else {
                return unknown_action(reader, action, section.at("action"));
            };
            schemas.check(reader, contract, with, &at);
            let config = reader.template(with, &at)?;
            Some(DraftKind::Action {
                action: action.to_owned(),
                config,
                needs_contact: contract.needs_contact,
                uses_contact: contract.uses_contact,
                sending,
            })
        }
    }
}

fn unknown_action<T>(reader: &mut Reader<'_>, action: &str, at: String) -> Option<T> {
    if catalogue::action(action).is_some() {
        return reader.problem("not_available", at, format!("the action {action} is not available yet"));
    }
    let hint = nearest_hint(action, catalogue::actions().iter().map(|entry| entry.key));
    reader.problem("unknown_action", at, format!("there is no action \"{action}\"{hint}"))
}

fn delay(reader: &mut Reader<'_>, with: &Value, at: &str) -> Option<DraftKind> {
    let section = reader.section(with, at, &DELAY_WITH)?;
    let until_other = DELAY_WITH.later.iter().any(|key| section.get(key).is_some());
    let value = match section.get("for") {
        // What takes the place of `for` was refused already.
        None if until_other => return None,
        _ => reader.required(section, "for")?,
    };
    let at = section.at("for");
    let duration = reader.template(value, &at)?;
    if duration.is_literal() {
        reader.duration(value, &at)?;
    }
    Some(DraftKind::Delay { duration })
}

fn branch(reader: &mut Reader<'_>, with: &Value, at: &str) -> Option<DraftKind> {
    let section = reader.section(with, at, &BRANCH_WITH)?;
    if section.get("cases").is_none() && section.get("split").is_some() {
        return None;
    }
    reader.required(section, "cases")?;
    let items = reader.list(section, "cases")?;
    if items.is_empty() {
        return reader.problem("bad_value", section.at("cases"), "a branch needs at least one case");
    }
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{}[{index}]", section.at("cases"));
        let Some(section) = reader.section(item, &at, &CASE) else { continue };
        let name = reader.name(section, "name");
        if name == Some(ELSE) {
            let message = "else is the way taken when no case holds; give the case another name";
            reader.problem::<()>("bad_name", section.at("name"), message);
        }
        if let Some(name) = name.filter(|name| !names.insert((*name).to_owned())) {
            let message = format!("two cases of the branch are called \"{name}\"");
            reader.problem::<()>("duplicate_id", section.at("name"), message);
        }
        reader.required(section, "where");
        if let (Some(name), Some(condition)) = (name, reader.condition(section, "where")) {
            cases.push(DraftCase { at: section.at("where"), name: name.to_owned(), condition });
        }
    }
    // A case that could not be read would make its edge look wrong too.
    (cases.len() == items.len()).then_some(DraftKind::Branch { cases })
}
