//! What the graph as a whole must not do: go round in circles, or have boxes that no run comes to.

use super::nodes::DraftNode;
use super::reader::Reader;
use super::wiring::Wiring;
use crate::workflow::NodeIndex;
use crate::workflow::kinds::Role;

/// More cycles than this are the same mistake seen again.
const CYCLES_NAMED: usize = 10;

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Unseen,
    /// On the way from the start to where the walk stands.
    OnPath,
    Done,
}

pub(super) fn check(reader: &mut Reader<'_>, nodes: &[DraftNode], wiring: &Wiring) {
    let mut marks = vec![Mark::Unseen; nodes.len()];
    let mut cycles = Vec::new();
    for start in wiring.starts() {
        walk(start, wiring, &mut marks, &mut cycles);
    }
    // A jump is no part of a cycle: it is bounded. But runs come to where it leads.
    while let Some(to) = jumped_to(wiring, &marks) {
        walk(to, wiring, &mut marks, &mut cycles);
    }
    let unreachable: Vec<NodeIndex> = (0..nodes.len()).filter(|node| marks[*node] == Mark::Unseen).collect();
    for node in unreachable {
        let message = format!("no trigger leads to \"{}\"", id(nodes, node));
        reader.problem::<()>("unreachable_node", &nodes[node].at, message);
        walk(node, wiring, &mut marks, &mut cycles);
    }
    for cycle in cycles {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|node| id(nodes, *node)).collect();
        let message = format!("the nodes form a cycle: {}", names.join(" -> "));
        reader.problem::<()>("cycle", &nodes[cycle[0]].at, message);
    }
}

/// A node that is not seen yet, and that one that is leads to without an edge.
fn jumped_to(wiring: &Wiring, marks: &[Mark]) -> Option<NodeIndex> {
    let seen = (0..marks.len()).filter(|node| marks[*node] != Mark::Unseen);
    seen.filter_map(|node| wiring.target(node, Role::Jump)).find(|to| marks[*to] == Mark::Unseen)
}

/// Walks depth first, without recursion: a definition may be a chain of a thousand nodes.
fn walk(start: NodeIndex, wiring: &Wiring, marks: &mut [Mark], cycles: &mut Vec<Vec<NodeIndex>>) {
    if marks[start] != Mark::Unseen {
        return;
    }
    marks[start] = Mark::OnPath;
    let mut path = vec![start];
    let mut open: Vec<Vec<NodeIndex>> = vec![wiring.ways_out(start).collect()];
    while let (Some(&node), Some(ways)) = (path.last(), open.last_mut()) {
        let Some(next) = ways.pop() else {
            marks[node] = Mark::Done;
            path.pop();
            open.pop();
            continue;
        };
        match marks[next] {
            Mark::Unseen => {
                marks[next] = Mark::OnPath;
                path.push(next);
                open.push(wiring.ways_out(next).collect());
            }
            Mark::OnPath if cycles.len() < CYCLES_NAMED => {
                let begin = path.iter().position(|node| *node == next).unwrap_or(0);
                cycles.push(path[begin..].to_vec());
            }
            Mark::OnPath | Mark::Done => {}
        }
    }
}

fn id(nodes: &[DraftNode], node: NodeIndex) -> &str {
    nodes[node].id.as_deref().unwrap_or_default()
}
