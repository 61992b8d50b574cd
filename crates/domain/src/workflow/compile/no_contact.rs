//! Runs that a schedule starts are about no contact: what needs one cannot stand where such runs come.

use super::nodes::DraftNode;
use super::reader::Reader;
use super::triggers::DraftTrigger;
use super::wiring::Wiring;
use crate::action::ContactUse;
use crate::workflow::NodeIndex;

pub(super) fn check(
    reader: &mut Reader<'_>,
    triggers: &[DraftTrigger],
    nodes: &[DraftNode],
    wiring: &Wiring,
) {
    let asks: Vec<bool> = nodes.iter().map(asks_for_contact).collect();
    for (index, trigger) in triggers.iter().enumerate() {
        let (Some(_), Some(id)) = (&trigger.schedule, &trigger.id) else { continue };
        if trigger.condition.as_ref().is_some_and(|condition| {
            !condition.aggregates().is_empty()
                || condition.references().into_iter().any(|path| path.root() == "contact")
        }) {
            let message =
                format!("the schedule \"{id}\" is about no contact: nothing of one can be asked for");
            reader.problem::<()>("no_contact", format!("{}.where", trigger.at), message);
        }
        for node in reached(wiring.start(index), nodes.len(), wiring).into_iter().filter(|node| asks[*node]) {
            check_node(reader, id, &nodes[node]);
        }
    }
}

fn asks_for_contact(node: &DraftNode) -> bool {
    let Some(behaviour) = &node.behaviour else { return false };
    behaviour.contact() == ContactUse::Needed
        || !behaviour.aggregates().is_empty()
        || behaviour.references().into_iter().any(|(path, _)| path.root() == "contact")
}

/// Says of a node that asks for a contact that there is none.
fn check_node(reader: &mut Reader<'_>, schedule: &str, node: &DraftNode) {
    let Some(behaviour) = &node.behaviour else { return };
    if behaviour.contact() == ContactUse::Needed {
        let key = behaviour.key();
        let message =
            format!("{key} needs a contact, and runs of the schedule \"{schedule}\" are about none");
        reader.problem::<()>("no_contact", &node.at, message);
    } else {
        let message = format!(
            "runs of the schedule \"{schedule}\" are about no contact: every contact.… is empty there"
        );
        reader.warn("no_contact", format!("{}.with", node.at), message);
    }
}

/// The nodes that runs come to from `start` on, in the file's order.
fn reached(start: Option<NodeIndex>, count: usize, wiring: &Wiring) -> Vec<NodeIndex> {
    let mut seen = vec![false; count];
    let mut open: Vec<NodeIndex> = start.into_iter().collect();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut seen[node], true) {
            open.extend(wiring.leads_to(node));
        }
    }
    (0..count).filter(|node| seen[*node]).collect()
}
