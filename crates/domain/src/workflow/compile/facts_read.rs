//! Whether what conditions and templates refer to can exist where they stand.

use super::nodes::DraftNode;
use super::reader::Reader;
use super::triggers::DraftTrigger;
use crate::condition::Condition;
use crate::facts::FieldPath;
use crate::problem::nearest_hint;
use crate::workflow::{Enrolment, Exit};
use std::collections::{BTreeMap, BTreeSet};

/// Roots that exist only once there is a run.
const OF_A_RUN: [&str; 5] = ["vars", "steps", "run", "workflow", "item"];

pub(super) fn check(
    reader: &mut Reader<'_>,
    enrolment: &Enrolment,
    triggers: &[DraftTrigger],
    nodes: &[DraftNode],
) {
    if let Some(key) = &enrolment.key {
        before_a_run(reader, key.references(), "enrolment.key");
    }
    if let Some(condition) = &enrolment.condition {
        before_a_run(reader, condition.references(), "enrolment.where");
    }
    if let Some(condition) = &enrolment.suppress {
        before_a_run(reader, condition.references(), "enrolment.suppress");
    }
    for trigger in triggers {
        if let Some(condition) = &trigger.condition {
            before_a_run(reader, condition.references(), &format!("{}.where", trigger.at));
        }
    }
    // Nodes without an id are problems already; a reference to one of them should not become a second.
    if nodes.iter().any(|node| node.id.is_none()) {
        return;
    }
    let ids: BTreeSet<&str> = nodes.iter().filter_map(|node| node.id.as_deref()).collect();
    for node in nodes {
        let Some(behaviour) = &node.behaviour else { continue };
        let mut by_place: BTreeMap<String, Vec<&FieldPath>> = BTreeMap::new();
        for (path, below) in behaviour.references() {
            by_place.entry(below).or_default().push(path);
        }
        for (below, paths) in by_place {
            let dot = if below.is_empty() { "" } else { "." };
            known_steps(reader, paths, &ids, &format!("{}.with{dot}{below}", node.at));
        }
    }
}

/// What exits read of steps has to exist.
pub(super) fn check_exits(reader: &mut Reader<'_>, exits: &[Exit], nodes: &[DraftNode]) {
    if nodes.iter().any(|node| node.id.is_none()) {
        return;
    }
    let ids: BTreeSet<&str> = nodes.iter().filter_map(|node| node.id.as_deref()).collect();
    for (index, exit) in exits.iter().enumerate() {
        let paths = exit.filter.condition.iter().flat_map(Condition::references);
        known_steps(reader, paths, &ids, &format!("exit[{index}].where"));
    }
}

fn before_a_run<'p>(reader: &mut Reader<'_>, paths: impl IntoIterator<Item = &'p FieldPath>, at: &str) {
    let paths: BTreeSet<&FieldPath> = paths.into_iter().collect();
    for path in paths.into_iter().filter(|path| OF_A_RUN.contains(&path.root())) {
        let message = format!("\"{}\" does not exist here: there is no run yet", path.as_str());
        reader.problem::<()>("unknown_field", at, message);
    }
}

fn known_steps<'p>(
    reader: &mut Reader<'_>,
    paths: impl IntoIterator<Item = &'p FieldPath>,
    ids: &BTreeSet<&str>,
    at: &str,
) {
    let paths: BTreeSet<&FieldPath> = paths.into_iter().collect();
    for path in paths {
        if let [root, node, ..] = path.segments()
            && root == "steps"
            && !ids.contains(node.as_str())
        {
            let hint = nearest_hint(node, ids.iter().copied());
            let message =
                format!("\"{}\" refers to the node \"{node}\", which does not exist{hint}", path.as_str());
            reader.problem::<()>("unknown_node", at, message);
        }
    }
}
