//! Names that a template gives to values, and where they can be seen.

use super::ast::Slot;
use std::collections::BTreeMap;

/// The variables in sight while a template is read.
#[derive(Default)]
pub(super) struct Names {
    /// The outermost first.
    scopes: Vec<BTreeMap<String, Variable>>,
    slots: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Variable {
    pub(super) slot: Slot,
    pub(super) holds: Holds,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holds {
    Value,
    /// What `namespace(…)` made: its members may be set.
    Namespace,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { scopes: vec![BTreeMap::new()], slots: 0 }
    }

    /// Variables that are given a place so far.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn enter(&mut self) {
        self.scopes.push(BTreeMap::new());
    }

    pub(super) fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Gives a name to a value of the innermost scope, where it may have one already.
    pub(super) fn declare(&mut self, name: &str) -> Slot {
        self.place(name, Holds::Value)
    }

    /// The same for a value of `namespace(…)`.
    pub(super) fn declare_namespace(&mut self, name: &str) -> Slot {
        self.place(name, Holds::Namespace)
    }

    fn place(&mut self, name: &str, holds: Holds) -> Slot {
        let next = self.slots;
        let variable = self.scopes.last_mut().and_then(|scope| scope.get_mut(name));
        if let Some(variable) = variable {
            variable.holds = holds;
            return variable.slot;
        }
        self.slots += 1;
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned(), Variable { slot: next, holds });
        }
        next
    }

    /// The variables of this name, the innermost first: one that was not set leaves the word to the next.
    pub(super) fn find(&self, name: &str) -> Vec<Variable> {
        self.scopes.iter().rev().filter_map(|scope| scope.get(name).copied()).collect()
    }

    /// Names in sight.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flat_map(|scope| scope.keys().map(String::as_str))
    }
}
