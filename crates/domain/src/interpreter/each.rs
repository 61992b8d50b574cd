//! Loops: a token becomes one branch for each item of a list, so many at a time, and goes on with what they came to.

use super::{
    BranchState, Fork, Items, MOST_BRANCHES, Onward, Origin, Place, StepError, StepOutcome, Visit, Walk,
};
use crate::facts::ItemFacts;
use crate::json;
use crate::step_code::StepCode;
use crate::workflow::NodeIndex;
use serde_json::{Value, json};

/// The option that names the node at which each item begins; where it leads stands among the ways of the node.
pub const BODY: &str = "body";

/// How the items of a loop are walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Each {
    /// How many at a time, at most.
    pub concurrency: u16,
    /// What an item does to the others whose step failed for good.
    pub on_item_error: OnItemError,
}

/// What a failed item does to the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnItemError {
    /// Those that have not begun do not begin, and the loop fails once the others are done.
    Stop,
    /// Nothing: its error stands among the results.
    GoOn,
}

impl Walk<'_> {
    /// Begins the body for the first items; each that is done makes room for another. The node's output is a list of what
    /// they came to, in the order of the items. No list at all is an empty one, with a note in the history.
    pub fn each(&mut self, visit: Visit<'_>, list: Option<Vec<Value>>) -> Onward {
        let Some(each) = visit.node.behaviour.each() else { return Onward::To(visit.node.next) };
        let note = list.is_none().then_some("there is no list");
        let list = list.unwrap_or_default();
        let first = list.len().min(usize::from(each.concurrency));
        if first == 0 {
            return self.end_loop(visit, Vec::new(), note);
        }
        if self.state.tokens.len() + first > MOST_BRANCHES {
            let message = format!("the run would have more than {MOST_BRANCHES} branches at once");
            return self.fail(visit, StepError { code: StepCode::TooManyBranches.into(), message });
        }
        if let Err(error) = self.reserve(list.iter().map(json::size_bytes).sum()) {
            return self.fail(visit, error);
        }
        self.log_step(visit, StepOutcome::Waiting, json!({ "items": list.len() }));
        let fork = Fork {
            node: visit.node.id.clone(),
            visit: visit.number,
            token: visit.token,
            origin: self.origins.remove(&visit.token),
            moved_by: self.moved_by.remove(&visit.token).unwrap_or_default(),
            branches: Vec::new(),
            items: Some(Items { list, ..Items::default() }),
        };
        let number = self.free_fork();
        self.state.forks.insert(number, fork);
        for _ in 0..first {
            self.begin_item(number, Some(visit.token));
        }
        Onward::Stays
    }

    fn begin_item(&mut self, number: u16, taken: Option<u16>) {
        let token = self.free_number(taken);
        let Some(fork) = self.state.forks.get_mut(&number) else { return };
        let branch = u16::try_from(fork.branches.len()).unwrap_or(u16::MAX);
        fork.branches.push(BranchState::Open);
        let body = self.state.forks.get(&number).and_then(|fork| self.node_of(fork)?.ways.get(BODY)).copied();
        if let Some(body) = body {
            self.put_branch(token, Origin { fork: number, branch }, body);
        }
    }

    /// An item is done. What the step before its end returned is its output. Gives where the token goes on that came to
    /// the loop, once that is over.
    pub(super) fn settle_item(&mut self, origin: Origin, last: Option<NodeIndex>) -> Option<Place> {
        let last = last.and_then(|last| self.workflow.nodes.get(last));
        let result = last.and_then(|last| self.state.steps.get(&last.id));
        let output = result.map_or(Value::Null, |result| result.output.clone());
        let has_failed = |items: &Items| items.errors.contains_key(&origin.branch);
        if !self.state.forks.get(&origin.fork)?.items.as_ref().is_some_and(has_failed) {
            let room = self.reserve(json::size_bytes(&output));
            let items = self.state.forks.get_mut(&origin.fork)?.items.as_mut()?;
            match room {
                Ok(()) => drop(items.outputs.insert(origin.branch, output)),
                Err(error) => drop(items.errors.insert(origin.branch, error)),
            }
        }
        let fork = self.state.forks.get(&origin.fork)?;
        let (node, items) = (self.node_of(fork)?, fork.items.as_ref()?);
        let stops = node.behaviour.each().is_none_or(|each| each.on_item_error == OnItemError::Stop)
            && !items.errors.is_empty();
        if !stops && fork.branches.len() < items.list.len() {
            self.begin_item(origin.fork, None);
            return None;
        }
        if fork.count(BranchState::Open) > 0 {
            return None;
        }
        let index = self.workflow.node_index(&fork.node)?;
        let fork = self.state.forks.remove(&origin.fork)?;
        // The list and the results are counted no more.
        self.used_bytes = None;
        let visit = Visit { token: self.restore(&fork), node, index, number: fork.visit };
        let items = fork.items?;
        let onward = match items.errors.first_key_value().filter(|_| stops) {
            Some((place, StepError { code, message })) => {
                let message = format!("item {place} failed: {message}");
                self.fail(visit, StepError { code: code.clone(), message })
            }
            None => self.end_loop(visit, items.results(), None),
        };
        match onward {
            Onward::To(to) => Some((visit.token, to)),
            Onward::Stays => None,
        }
    }

    fn end_loop(&mut self, visit: Visit<'_>, results: Vec<Value>, note: Option<&str>) -> Onward {
        let mut detail = json!({ "items": results.len() });
        if let Some(note) = note {
            detail["note"] = note.into();
        }
        let output = Value::Array(results);
        if let Err(error) = self.make_room(&visit.node.id, &output, &serde_json::Map::new()) {
            return self.fail(visit, error);
        }
        self.complete(visit, detail);
        let result = self.result(visit);
        result.output = output;
        result.error = None;
        Onward::To(visit.node.next)
    }

    /// The item of the innermost loop around a token, with the one of the loop around that.
    pub(super) fn item(&self, token: u16) -> Option<ItemFacts<'_>> {
        let (items, origin, around) = self.loop_around(self.origins.get(&token).copied())?;
        let value = items.list.get(usize::from(origin.branch))?;
        let parent = self.loop_around(around);
        let parent = parent.and_then(|(items, origin, _)| {
            Some((items.list.get(usize::from(origin.branch))?, origin.branch))
        });
        Some(ItemFacts { value, index: origin.branch, parent })
    }

    fn loop_around(&self, mut origin: Option<Origin>) -> Option<(&Items, Origin, Option<Origin>)> {
        while let Some(from) = origin {
            let fork = self.state.forks.get(&from.fork)?;
            if let Some(items) = &fork.items {
                return Some((items, from, fork.origin));
            }
            origin = fork.origin;
        }
        None
    }

    /// The item that a step belongs to which fails for good, unless a join within the item waits for it.
    pub(super) fn failing_item(&self, token: u16) -> Option<Origin> {
        let mut origin = self.origins.get(&token).copied();
        while let Some(from) = origin {
            let fork = self.state.forks.get(&from.fork)?;
            if fork.items.is_some() {
                return Some(from);
            }
            if self.node_of(fork).is_some_and(|node| node.behaviour.join().is_some()) {
                return None;
            }
            origin = fork.origin;
        }
        None
    }
}

impl Items {
    /// What each item came to, in their order.
    fn results(&self) -> Vec<Value> {
        let result = |index: u16| match self.errors.get(&index) {
            Some(error) => json!({ "index": index, "error": error }),
            None => json!({ "index": index, "output": self.outputs.get(&index) }),
        };
        let count = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        (0..count).map(result).collect()
    }
}
