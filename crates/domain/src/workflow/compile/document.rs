//! The document as a whole.

use super::reader::{Keys, Reader, Section};
use super::{branches, edges, enrolment, exits, facts_read, no_contact, nodes, paths, triggers, wiring};
use crate::interpreter::Need;
use crate::json;
use crate::priority::Priority;
use crate::workflow::{Goal, Node, Trigger, Workflow};
use serde_json::Value;

/// The version of the format that this compiler reads.
pub(in crate::workflow) const API_VERSION: &str = "automation/v1";

const DOCUMENT: Keys = Keys {
    what: "a workflow",
    known: &[
        "apiVersion",
        "key",
        "name",
        "owner",
        "priority",
        "enrolment",
        "exit",
        "goal",
        "triggers",
        "nodes",
        "edges",
    ],
    later: &[],
};

pub(super) fn read(reader: &mut Reader<'_>, definition: &Value) -> Option<Workflow> {
    let section = reader.section(definition, "", &DOCUMENT)?;
    check_version(reader, section);
    let key = reader.name(section, "key");
    let name = match section.get("name") {
        Some(_) => reader.text(section, "name"),
        None => key,
    };
    check_owner(reader, section);
    let priority =
        reader.choice(section, "priority", &Priority::ALL.map(|priority| (priority.as_str(), priority)));
    let enrolment = enrolment::read(reader, section);
    let exits = exits::read(reader, section);
    let goal = Goal::read(reader, section);
    let triggers = triggers::read(reader, section);
    let entry_bytes =
        size_of::<Workflow>() + size_of::<Trigger>() * triggers.len() + reader.allowance.bytes();
    let nodes = nodes::read(reader, section)?;
    let edges = edges::read(reader, section);

    let wiring = wiring::connect(reader, &triggers, &nodes, &edges);
    if wiring.is_complete {
        paths::check(reader, &nodes, &wiring);
        branches::check(reader, &nodes, &wiring);
        no_contact::check(reader, &triggers, &nodes, &wiring);
    }
    facts_read::check(reader, &enrolment, &triggers, &nodes);
    facts_read::check_exits(reader, &exits, &nodes);
    let behaviours = || nodes.iter().filter_map(|node| node.behaviour.as_deref());
    // Events count from the one on that started the run, and are about its contact.
    let reads = |root: &str| !exits.is_empty() || behaviours().any(|behaviour| behaviour.reads(root));
    let read = [(Need::Event, reads("event")), (Need::Contact, reads("contact"))];
    let needs = read.into_iter().filter_map(|(need, is_read)| is_read.then_some(need)).collect();

    let graph = size_of::<Node>() * nodes.len() + size_of::<Trigger>() * triggers.len();
    let memory_bytes = graph + reader.allowance.bytes() + json::memory_bytes(definition);
    Some(Workflow {
        key: key?.to_owned(),
        name: name?.to_owned(),
        priority,
        enrolment,
        exits,
        goal,
        triggers: wiring.triggers(triggers)?,
        nodes: wiring.nodes(nodes)?,
        definition: definition.clone(),
        warnings: Vec::new(),
        needs,
        memory_bytes,
        entry_bytes,
    })
}

/// Most characters of the name of whoever owns a workflow.
pub(in crate::workflow) const LONGEST_OWNER: usize = 200;

/// Whoever owns the workflow is told of by his name alone: the engine does nothing with it.
fn check_owner(reader: &mut Reader<'_>, section: Section<'_>) {
    if section.get("owner").is_some()
        && let Some(owner) = reader.text(section, "owner")
        && owner.chars().count() > LONGEST_OWNER
    {
        let message = format!("must have at most {LONGEST_OWNER} characters");
        reader.problem::<()>("bad_value", "owner", message);
    }
}

fn check_version(reader: &mut Reader<'_>, section: Section<'_>) {
    match reader.text(section, "apiVersion") {
        Some(API_VERSION) | None => {}
        Some(version) => {
            let message = format!("this engine reads {API_VERSION}, not \"{version}\"");
            reader.problem::<()>("unknown_version", "apiVersion", message);
        }
    }
}
