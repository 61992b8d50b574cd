//! How branches meet: what a join waits for, when it fires, and what becomes of those it does not wait for.

use super::awaited::remember;
use super::{BranchState, Fork, Onward, Origin, StepOutcome, Visit, Waits, Walk};
use crate::workflow::{Node, NodeIndex};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// The option that names the node where branches meet; where it leads stands among the ways of the node that forked.
pub const JOIN_AT: &str = "join_at";

/// What the branches of a node wait for where they meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Join {
    /// When it fires.
    pub rule: JoinRule,
    /// How long it waits for a branch that died.
    pub dead_after: TimeDelta,
}

/// When a join fires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinRule {
    /// Once every branch is done, if one arrived at least.
    All,
    /// As soon as so many have arrived.
    AtLeast(u16),
}

impl JoinRule {
    fn needs(self) -> usize {
        match self {
            Self::All => 1,
            Self::AtLeast(number) => usize::from(number).max(1),
        }
    }

    fn verdict(self, fork: &Fork) -> Verdict {
        let (open, arrived) = (fork.count(BranchState::Open), fork.count(BranchState::Arrived));
        let is_enough = arrived >= self.needs();
        match self {
            Self::All if open > 0 => Verdict::Waits,
            Self::AtLeast(_) if open > 0 && !is_enough => Verdict::Waits,
            Self::All | Self::AtLeast(_) if is_enough => Verdict::Fires,
            Self::All | Self::AtLeast(_) => Verdict::NeverFires,
        }
    }

    /// Whether something arrived that would be lost, and what is open may still complete it.
    fn may_fire(self, fork: &Fork) -> bool {
        let arrived = fork.count(BranchState::Arrived);
        arrived > 0 && arrived + fork.count(BranchState::Open) >= self.needs()
    }
}

/// What a fork comes to.
enum Verdict {
    Waits,
    Fires,
    /// All its branches are done, and too few arrived.
    NeverFires,
}

/// Where a token goes on.
pub(super) type Place = (u16, Option<NodeIndex>);

impl Walk<'_> {
    /// How the branch that a token walks is done by going there, if it is one and that ends it.
    pub(super) fn done_by(&self, token: u16, to: Option<NodeIndex>) -> Option<BranchState> {
        let origin = self.origins.get(&token)?;
        match to {
            None => Some(BranchState::Ended),
            Some(_) if self.meeting(*origin) == to => Some(BranchState::Arrived),
            Some(_) => None,
        }
    }

    /// The branch that a token walked is done; `last` is the node that it left last. Gives where the token goes on that was forked, if that was what it waited
    /// for.
    pub(super) fn settle(&mut self, token: u16, last: Option<NodeIndex>, how: BranchState) -> Option<Place> {
        let origin = self.origins.remove(&token)?;
        let fork = self.state.forks.get_mut(&origin.fork)?;
        if let Some(branch @ BranchState::Open) = fork.branches.get_mut(usize::from(origin.branch)) {
            *branch = how;
        }
        // What moved the branch moves nothing that follows it.
        remember(&mut fork.moved_by, self.moved_by.remove(&token).unwrap_or_default());
        let fork = self.state.forks.get(&origin.fork)?;
        let Some(node) = self.node_of(fork) else {
            let node = fork.node.clone();
            self.fail_unknown(node);
            return None;
        };
        if fork.items.is_some() {
            return self.settle_item(origin, last);
        }
        let join = node.behaviour.join();
        let rule = join.map_or(JoinRule::All, |join| join.rule);
        let to = match rule.verdict(fork) {
            Verdict::Waits => return None,
            Verdict::Fires => node.ways.get(JOIN_AT).copied(),
            Verdict::NeverFires => None,
        };
        let fork = self.state.forks.remove(&origin.fork)?;
        let given_up = if fork.count(BranchState::Open) > 0 { self.give_up_branches(origin.fork) } else { 0 };
        if join.is_some() {
            let mut detail = told(&self.workflow.nodes, node, &fork);
            detail["fired"] = to.is_some().into();
            if given_up > 0 {
                detail["given_up"] = given_up.into();
            }
            self.log(&fork.node, node.action_key(), fork.visit, StepOutcome::Completed, detail);
        }
        Some((self.restore(&fork), to))
    }

    /// When a branch that dies now is given up: by the first join on the way out that waits for it.
    pub(super) fn given_up_at(&self, token: u16) -> Option<DateTime<Utc>> {
        let mut origin = self.origins.get(&token).copied();
        while let Some(from) = origin {
            let fork = self.state.forks.get(&from.fork)?;
            if let Some(join) = self.node_of(fork).and_then(|node| node.behaviour.join()) {
                return self.run.now.checked_add_signed(join.dead_after);
            }
            origin = fork.origin;
        }
        None
    }

    /// Nobody waits for a dead branch any more: it has ended.
    pub(super) fn give_up(&mut self, visit: Visit<'_>) -> Onward {
        self.state.tokens.remove(&visit.token);
        let detail = json!({ "reason": "dead_after" });
        self.log(&visit.node.id, "discard", visit.number, StepOutcome::Completed, detail);
        Onward::To(None)
    }

    /// Whether a branch may still get somewhere: one that lives, or a dead one that a join waits for to which others came.
    pub(super) fn is_alive(&self) -> bool {
        let is_dead = |waits: &Waits| matches!(waits, Waits::Dead { .. });
        self.state.tokens.values().any(|token| !is_dead(&token.waits))
            || self.state.forks.values().any(|fork| {
                let join = self.node_of(fork).and_then(|node| node.behaviour.join());
                join.is_some_and(|join| join.rule.may_fire(fork))
            })
    }

    fn meeting(&self, origin: Origin) -> Option<NodeIndex> {
        let fork = self.state.forks.get(&origin.fork)?;
        self.node_of(fork)?.ways.get(JOIN_AT).copied()
    }
}

impl<'a> Walk<'a> {
    pub(super) fn node_of(&self, fork: &Fork) -> Option<&'a Node> {
        let workflow = self.workflow;
        workflow.nodes.get(workflow.node_index(&fork.node)?)
    }
}

/// The branches by the nodes that they begin with, as each stands.
fn told(nodes: &[Node], node: &Node, fork: &Fork) -> Value {
    let which = |state: BranchState| {
        let of = node.branches.iter().zip(&fork.branches).filter(move |(_, branch)| **branch == state);
        of.filter_map(|(first, _)| Some(nodes.get(*first)?.id.as_str())).collect::<Vec<_>>()
    };
    json!({ "arrived": which(BranchState::Arrived), "ended": which(BranchState::Ended) })
}
