//! Where branches begin and meet: what the graph must not do with them.
//!
//! A branch is all that its edge leads to before the node where it meets the others. Several branches, and ways from
//! elsewhere, may lead to one node: each walks it for itself. A jump stays within every branch that it begins in, and begins in
//! every branch that it leads to.

use super::nodes::DraftNode;
use super::reader::Reader;
use super::wiring::Wiring;
use crate::interpreter::{JOIN_AT, JoinRule};
use crate::workflow::NodeIndex;
use crate::workflow::kinds::{Role, Ways};

pub(super) fn check(reader: &mut Reader<'_>, nodes: &[DraftNode], wiring: &Wiring) {
    let regions: Vec<Vec<bool>> = (0..nodes.len()).map(|node| branches_of(wiring, node)).collect();
    let jumps: Vec<(NodeIndex, NodeIndex)> =
        (0..nodes.len()).filter_map(|from| Some((from, wiring.target(from, Role::Jump)?))).collect();
    for (from, _) in jumps.iter().filter(|(from, to)| from == to) {
        let at = format!("{}.with", nodes[*from].at);
        reader.problem::<()>("bad_value", at, "it leads to itself");
    }
    for (index, node) in nodes.iter().enumerate() {
        let Some(behaviour) = &node.behaviour else { continue };
        if !jumps.is_empty() {
            check_jumps(reader, nodes, (wiring, &regions), (index, &jumps));
        }
        if let (Some(_), Some(next)) = (wiring.target(index, Role::Body), wiring.next(index)) {
            check_body(reader, nodes, &regions, (index, next));
        }
        if behaviour.ways() != Ways::Branches {
            continue;
        }
        let (at, id) = (&node.at, node.id.as_deref().unwrap_or_default());
        let count = wiring.branches(index).len();
        if count < 2 {
            let message = format!("\"{id}\" needs two edges at least: each begins a branch");
            reader.problem::<()>("too_few_branches", at, message);
        }
        if let Some(JoinRule::AtLeast(number)) = behaviour.join().map(|join| join.rule)
            && usize::from(number) > count
        {
            let message = format!("\"{id}\" has {count} branches: {number} of them cannot arrive");
            reader.problem::<()>("bad_value", format!("{at}.with.join.at_least"), message);
        }
        if let Some(meeting) = wiring.target(index, Role::Meeting) {
            check_meeting(reader, nodes, (wiring, &regions), (index, meeting));
        }
    }
}

/// An item is done where no edge leads on, and not where the loop goes on after the last of them.
fn check_body(
    reader: &mut Reader<'_>,
    nodes: &[DraftNode],
    regions: &[Vec<bool>],
    (each, next): (NodeIndex, NodeIndex),
) {
    if regions[each][next] {
        let id = |node: NodeIndex| nodes[node].id.as_deref().unwrap_or_default();
        let message = format!(
            "the body of \"{}\" leads to \"{}\", where it goes on after the last item: an item is done where no edge leads on",
            id(each),
            id(next)
        );
        reader.problem::<()>("branch_border", &nodes[each].at, message);
    }
}

/// Branches meet where at least one comes to, and what forks within them meets there too, or before.
fn check_meeting(
    reader: &mut Reader<'_>,
    nodes: &[DraftNode],
    (wiring, regions): (&Wiring, &[Vec<bool>]),
    (fork, meeting): (NodeIndex, NodeIndex),
) {
    let (at, id) = (&nodes[fork].at, |node: NodeIndex| nodes[node].id.as_deref().unwrap_or_default());
    let coming = leading_to(wiring, meeting);
    let branches = wiring.branches(fork);
    if !branches.iter().any(|branch| coming[*branch]) {
        let message = format!("no branch of \"{}\" comes to \"{}\"", id(fork), id(meeting));
        reader.problem::<()>("unreachable_join", format!("{at}.with.{JOIN_AT}"), message);
        return;
    }
    for branch in branches.iter().filter(|branch| !coming[**branch]) {
        let message = format!(
            "the branch of \"{}\" that begins with \"{}\" never comes to \"{}\": the join goes by the others",
            id(fork),
            id(*branch),
            id(meeting)
        );
        reader.warn("open_branch", at, message);
    }
    let forks = (0..nodes.len()).filter(|node| !regions[*node].is_empty() && regions[fork][*node]);
    for inner in forks {
        if wiring.target(inner, Role::Meeting) != Some(meeting) && regions[inner][meeting] {
            let message = format!(
                "a branch of \"{}\" leads to \"{}\", where those of \"{}\" around it meet: join it before, or there",
                id(inner),
                id(meeting),
                id(fork)
            );
            reader.problem::<()>("branch_border", &nodes[inner].at, message);
        }
    }
}

/// No jump crosses the border of a branch.
fn check_jumps(
    reader: &mut Reader<'_>,
    nodes: &[DraftNode],
    (wiring, regions): (&Wiring, &[Vec<bool>]),
    (fork, jumps): (NodeIndex, &[(NodeIndex, NodeIndex)]),
) {
    let id = |node: NodeIndex| nodes[node].id.as_deref().unwrap_or_default();
    let meeting = wiring.target(fork, Role::Meeting);
    if regions[fork].is_empty() {
        return;
    }
    let near: Vec<_> = jumps.iter().filter(|(from, to)| regions[fork][*from] || regions[fork][*to]).collect();
    if near.is_empty() {
        return;
    }
    for first in wiring.branches(fork) {
        let region = region(wiring, vec![first], meeting);
        let within = |node: NodeIndex| region[node] && Some(node) != meeting;
        for (from, _) in near.iter().filter(|(from, to)| within(*from) != within(*to)) {
            let how = if within(*from) { "out of" } else { "into" };
            let message = format!(
                "\"{}\" leads {how} the branch of \"{}\" that begins with \"{}\": a branch is entered by its edge, and left by an edge to where it ends",
                id(*from),
                id(fork),
                id(first)
            );
            reader.problem::<()>("branch_border", format!("{}.with", nodes[*from].at), message);
        }
    }
}

/// By node: whether it is in a branch of this one, or where those meet; empty for one that has none.
fn branches_of(wiring: &Wiring, fork: NodeIndex) -> Vec<bool> {
    let branches = wiring.branches(fork);
    if branches.is_empty() {
        return Vec::new();
    }
    region(wiring, branches, wiring.target(fork, Role::Meeting))
}

/// By node: whether it can be come to from these without passing their meeting, which itself counts.
fn region(wiring: &Wiring, mut open: Vec<NodeIndex>, meeting: Option<NodeIndex>) -> Vec<bool> {
    let mut seen = vec![false; wiring.len()];
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut seen[node], true) && Some(node) != meeting {
            open.extend(wiring.leads_on_to(node).filter(|next| !seen[*next]));
        }
    }
    seen
}

/// By node: whether it leads to this one, which itself counts.
fn leading_to(wiring: &Wiring, to: NodeIndex) -> Vec<bool> {
    let mut into = vec![Vec::new(); wiring.len()];
    for from in 0..wiring.len() {
        for next in wiring.ways_out(from) {
            into[next].push(from);
        }
    }
    let mut seen = vec![false; wiring.len()];
    let mut open = vec![to];
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut seen[node], true) {
            open.extend(into[node].iter().copied().filter(|from| !seen[*from]));
        }
    }
    seen
}
