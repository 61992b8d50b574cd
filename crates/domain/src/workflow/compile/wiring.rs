//! Connecting triggers and nodes by their edges.

use super::edges::DraftEdge;
use super::handling::OnError;
use super::nodes::DraftNode;
use super::reader::Reader;
use super::triggers::DraftTrigger;
use crate::problem::nearest_hint;
use crate::workflow::kinds::{Role, Target, Ways};
use crate::workflow::{Node, NodeIndex, Trigger};
use std::collections::BTreeMap;

/// Where edges lead.
pub(super) struct Wiring {
    /// By trigger.
    starts: Vec<Option<NodeIndex>>,
    /// By node: the plain edge.
    next: Vec<Option<NodeIndex>>,
    /// By node: the plain edges of one that goes them all at once.
    branches: Vec<Vec<NodeIndex>>,
    /// By node: edges by case.
    cases: Vec<BTreeMap<String, NodeIndex>>,
    /// By node: the nodes that its options name.
    targets: Vec<Vec<Named>>,
    /// By node: where its `on_error` leads.
    errors: Vec<Option<NodeIndex>>,
    /// By node: whether an edge leads there.
    entered: Vec<bool>,
    /// Whether every edge and every end of one could be read: only then says the graph something about paths.
    pub(super) is_complete: bool,
}

/// A node that an option of another names.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) key: &'static str,
    pub(super) role: Role,
    pub(super) to: NodeIndex,
}

#[derive(Clone, Copy)]
enum End {
    Trigger(usize),
    Node(NodeIndex),
}

pub(super) fn connect(
    reader: &mut Reader<'_>,
    triggers: &[DraftTrigger],
    nodes: &[DraftNode],
    edges: &[Option<DraftEdge>],
) -> Wiring {
    let before = reader.problems.len();
    let ends = ends(reader, triggers, nodes);
    let mut wiring = Wiring {
        starts: vec![None; triggers.len()],
        next: vec![None; nodes.len()],
        branches: vec![Vec::new(); nodes.len()],
        targets: nodes.iter().map(|node| targets(reader, &ends, node)).collect(),
        cases: vec![BTreeMap::new(); nodes.len()],
        errors: nodes.iter().map(|node| error_branch(reader, &ends, node)).collect(),
        entered: vec![false; nodes.len()],
        is_complete: false,
    };
    for edge in edges.iter().flatten() {
        if reader.is_full() {
            break;
        }
        let from = find(reader, &ends, &edge.from, &edge.at, "from");
        let to = find(reader, &ends, &edge.to, &edge.at, "to");
        match (from, to) {
            (Some(from), Some(End::Node(to))) => wiring.add(reader, nodes, edge, from, to),
            (_, Some(End::Trigger(_))) => {
                let message = format!("\"{}\" is a trigger; edges lead to nodes", edge.to);
                reader.problem::<()>("bad_edge", &edge.at, message);
            }
            (None, Some(End::Node(_))) | (_, None) => {}
        }
    }
    let ends: Vec<NodeIndex> =
        (0..nodes.len()).flat_map(|node| wiring.ways_out(node)).chain(wiring.starts()).collect();
    ends.into_iter().for_each(|to| wiring.entered[to] = true);
    let whole = edges.iter().all(Option::is_some)
        && nodes.iter().all(|node| node.id.is_some() && node.behaviour.is_some())
        && triggers.iter().all(|trigger| trigger.id.is_some());
    if edges.iter().all(Option::is_some) {
        for (trigger, start) in triggers.iter().zip(&wiring.starts) {
            if let (Some(id), None) = (&trigger.id, start) {
                let message =
                    format!("the trigger \"{id}\" needs an edge to the node that its runs begin with");
                reader.problem::<()>("missing_edge", &trigger.at, message);
            }
        }
    }
    wiring.is_complete = whole && reader.problems.len() == before;
    if wiring.is_complete {
        wiring.warn_of_open_cases(reader, nodes);
    }
    wiring
}

/// Every id and what it names; an id that stands twice is a problem.
fn ends<'d>(
    reader: &mut Reader<'_>,
    triggers: &'d [DraftTrigger],
    nodes: &'d [DraftNode],
) -> BTreeMap<&'d str, End> {
    let triggers =
        triggers.iter().enumerate().map(|(index, draft)| (&draft.id, &draft.at, End::Trigger(index)));
    let nodes = nodes.iter().enumerate().map(|(index, draft)| (&draft.id, &draft.at, End::Node(index)));
    let mut ends = BTreeMap::new();
    for (id, at, end) in triggers.chain(nodes) {
        let Some(id) = id.as_deref() else { continue };
        if ends.contains_key(id) {
            let message = format!("\"{id}\" is taken: triggers and nodes have ids of their own");
            reader.problem::<()>("duplicate_id", format!("{at}.id"), message);
        } else {
            ends.insert(id, end);
        }
    }
    ends
}

fn find(reader: &mut Reader<'_>, ends: &BTreeMap<&str, End>, id: &str, at: &str, side: &str) -> Option<End> {
    let end = ends.get(id).copied();
    if end.is_none() {
        let hint = nearest_hint(id, ends.keys().copied());
        let message = format!("the edge leads {side} \"{id}\", which is neither a trigger nor a node{hint}");
        reader.problem::<()>("unknown_node", at, message);
    }
    end
}

/// The node that a node's `on_error` names.
fn error_branch(reader: &mut Reader<'_>, ends: &BTreeMap<&str, End>, node: &DraftNode) -> Option<NodeIndex> {
    let OnError { to, at } = node.on_error.as_ref()?;
    named(reader, ends, ("on_error", to), at)
}

/// The nodes that a node's options name.
fn targets(reader: &mut Reader<'_>, ends: &BTreeMap<&str, End>, node: &DraftNode) -> Vec<Named> {
    let Some(behaviour) = &node.behaviour else { return Vec::new() };
    let mut targets = Vec::new();
    for Target { key, node: name, role } in behaviour.targets() {
        let at = format!("{}.with.{key}", node.at);
        targets.extend(named(reader, ends, (key, name), &at).map(|to| Named { key, role, to }));
    }
    targets
}

fn named(
    reader: &mut Reader<'_>,
    ends: &BTreeMap<&str, End>,
    (key, name): (&str, &str),
    at: &str,
) -> Option<NodeIndex> {
    match ends.get(name) {
        Some(End::Node(index)) => Some(*index),
        Some(End::Trigger(_)) => {
            reader.problem("bad_edge", at, format!("\"{name}\" is a trigger; {key} leads to a node"))
        }
        None => {
            let hint = nearest_hint(name, ends.keys().copied());
            reader.problem("unknown_node", at, format!("there is no node \"{name}\"{hint}"))
        }
    }
}

impl Wiring {
    fn add(
        &mut self,
        reader: &mut Reader<'_>,
        nodes: &[DraftNode],
        edge: &DraftEdge,
        from: End,
        to: NodeIndex,
    ) {
        let (at, mut is_known) = (&edge.at, true);
        let slot = match (from, &edge.case) {
            (End::Trigger(_), Some(_)) => {
                reader.problem::<()>("unknown_case", at, "a trigger has one way out: leave case away");
                return;
            }
            (End::Trigger(index), None) => &mut self.starts[index],
            (End::Node(index), case) => {
                if !is_way_out(reader, &nodes[index], edge) {
                    return;
                }
                is_known = nodes[index].behaviour.is_some();
                match case {
                    None if goes_all_ways(&nodes[index]) => {
                        if self.branches[index].contains(&to) {
                            report_second(reader, edge, true);
                        } else {
                            self.branches[index].push(to);
                        }
                        return;
                    }
                    None => &mut self.next[index],
                    Some(case) => {
                        if let Some(known) = self.cases[index].insert(case.clone(), to) {
                            report_second(reader, edge, known == to);
                        }
                        return;
                    }
                }
            }
        };
        let known = slot.replace(to);
        // What could not be read may have several.
        if let (Some(known), true) = (known, is_known) {
            report_second(reader, edge, known == to);
        }
    }

    /// A case that leads nowhere ends its branch, which is allowed and seldom meant.
    fn warn_of_open_cases(&self, reader: &mut Reader<'_>, nodes: &[DraftNode]) {
        for (node, edges) in nodes.iter().zip(&self.cases) {
            let (Some(behaviour), Some(id)) = (&node.behaviour, &node.id) else { continue };
            let names = match behaviour.ways() {
                Ways::Named(names) => names,
                Ways::OneAnd(names) => names.to_vec(),
                Ways::None | Ways::One | Ways::OneOr(_) | Ways::Optional(_) | Ways::Branches => continue,
            };
            for name in names {
                if !edges.contains_key(name) {
                    let message =
                        format!("the case {name} of \"{id}\" has no edge: runs that take it end there");
                    reader.warn("open_case", &node.at, message);
                }
            }
        }
    }

    /// Where a node leads: by its edges, and when its step fails.
    pub(super) fn ways_out(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        let branches = self.branches[node].iter().copied();
        let ways = self.next[node].into_iter().chain(branches).chain(self.cases[node].values().copied());
        ways.chain(self.errors[node]).chain(self.target(node, Role::Body))
    }

    /// Where a node leads, also by going there without an edge.
    pub(super) fn leads_to(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.ways_out(node).chain(self.target(node, Role::Jump))
    }

    /// Where a node leads without going back: by its edges, and to a node that no edge leads to.
    pub(super) fn leads_on_to(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.ways_out(node).chain(self.target(node, Role::Jump).filter(|to| !self.entered[*to]))
    }

    /// The first nodes of a node's branches, be they one for each edge or one for each item.
    pub(super) fn branches(&self, node: NodeIndex) -> Vec<NodeIndex> {
        self.branches[node].iter().copied().chain(self.target(node, Role::Body)).collect()
    }

    /// Where the plain edge of a node leads that has one.
    pub(super) fn next(&self, node: NodeIndex) -> Option<NodeIndex> {
        self.next[node]
    }

    /// The node that an option of a node names, if it is this to it.
    pub(super) fn target(&self, node: NodeIndex, role: Role) -> Option<NodeIndex> {
        self.targets[node].iter().find(|named| named.role == role).map(|named| named.to)
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.next.len()
    }

    /// The nodes that triggers lead to.
    pub(super) fn starts(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.starts.iter().flatten().copied()
    }

    /// The node that a trigger leads to.
    pub(super) fn start(&self, trigger: usize) -> Option<NodeIndex> {
        self.starts[trigger]
    }

    /// The triggers with their edges; `None` if one is not whole.
    pub(super) fn triggers(&self, drafts: Vec<DraftTrigger>) -> Option<Vec<Trigger>> {
        drafts
            .into_iter()
            .zip(&self.starts)
            .map(|(draft, start)| {
                Some(Trigger {
                    id: draft.id?,
                    event: draft.event?,
                    schedule: draft.schedule,
                    condition: draft.condition,
                    to: (*start)?,
                })
            })
            .collect()
    }

    /// The nodes with their edges; `None` if one is not whole.
    pub(super) fn nodes(&self, drafts: Vec<DraftNode>) -> Option<Vec<Node>> {
        let whole = |(index, draft): (NodeIndex, DraftNode)| {
            let mut ways = self.cases[index].clone();
            ways.extend(self.targets[index].iter().map(|named| (named.key.to_owned(), named.to)));
            Some(Node {
                id: draft.id?,
                behaviour: draft.behaviour?,
                next: self.next[index],
                branches: self.branches[index].clone(),
                ways,
                on_error: self.errors[index],
            })
        };
        drafts.into_iter().enumerate().map(whole).collect()
    }
}

fn goes_all_ways(node: &DraftNode) -> bool {
    node.behaviour.as_ref().is_some_and(|behaviour| behaviour.ways() == Ways::Branches)
}

/// Whether a node has the way out that an edge names; a node that could not be read has any.
fn is_way_out(reader: &mut Reader<'_>, node: &DraftNode, edge: &DraftEdge) -> bool {
    let (from, Some(behaviour)) = (&edge.from, &node.behaviour) else { return true };
    let (code, message) = match (behaviour.ways(), &edge.case) {
        (Ways::One | Ways::OneOr(_) | Ways::OneAnd(_) | Ways::Branches, None) => return true,
        (Ways::Named(names), Some(case)) if names.contains(&case.as_str()) => return true,
        (Ways::OneOr(names) | Ways::OneAnd(names) | Ways::Optional(names), Some(case))
            if names.contains(&case.as_str()) =>
        {
            return true;
        }
        (Ways::Named(names), Some(case)) => no_case(from, case, names),
        (Ways::OneOr(names) | Ways::OneAnd(names) | Ways::Optional(names), Some(case)) => {
            no_case(from, case, names.to_vec())
        }
        (Ways::Optional(_), None) => {
            let key = behaviour.key();
            (
                "missing_case",
                format!("\"{from}\" is a {key}, which goes its own way: an edge says which case it is"),
            )
        }
        (Ways::Named(_), None) => {
            let key = behaviour.key();
            ("missing_case", format!("\"{from}\" is a {key}: the edge has to say which case it is"))
        }
        (Ways::Branches, Some(_)) => {
            ("unknown_case", format!("\"{from}\" goes all its ways at once: leave case away"))
        }
        (Ways::One, Some(_)) => ("unknown_case", format!("\"{from}\" has one way out: leave case away")),
        (Ways::None, _) => ("bad_edge", format!("\"{from}\" ends the run: nothing comes after it")),
    };
    reader.problem::<()>(code, &edge.at, message);
    false
}

fn no_case(from: &str, case: &str, names: Vec<&str>) -> (&'static str, String) {
    ("unknown_case", format!("\"{from}\" has no case \"{case}\"{}", nearest_hint(case, names)))
}

fn report_second(reader: &mut Reader<'_>, edge: &DraftEdge, is_same: bool) {
    let from = &edge.from;
    let way = edge.case.as_ref().map_or(String::new(), |case| format!(" for the case {case}"));
    if is_same {
        reader.problem::<()>(
            "duplicate_edge",
            &edge.at,
            format!("the same edge stands twice, from \"{from}\"{way}"),
        );
    } else {
        let message = format!("\"{from}\" has a second edge{way}; one way out leads to one node");
        reader.problem::<()>("several_edges", &edge.at, message);
    }
}
