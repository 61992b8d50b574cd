//! What a node can be: a file for each kind, with all there is to it.
//!
//! A kind reads the `with` of a node into a [`Behaviour`], which says what the node reads and which ways lead out of it, and
//! moves tokens. The compiler, the JSON Schema and the interpreter know kinds by these two traits alone. Every action is a
//! kind too, by [`action`].

mod action;
mod approval;
mod branch;
mod delay;
mod for_each;
mod go_to;
mod length;
mod parallel;
mod pause_workflow;
mod set_variables;
mod stop;
mod wait_until;
#[cfg(test)]
mod walked;

pub use action::ActionNode;
pub use branch::{Branch, Case};
pub use delay::Delay;
pub(crate) use delay::{Moment, moment};
pub use for_each::ForEach;
pub use go_to::GoTo;
pub use parallel::Parallel;
pub use stop::Stop;
pub use wait_until::Wait;

use super::compile::Reader;
use crate::action::{Action, ContactUse};
use crate::catalogue::ActionEntry;
use crate::condition::Aggregate;
use crate::facts::FieldPath;
use crate::interpreter::{Awaited, Each, Heard, Join, Onward, Visit, Walk};
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// The kinds that the interpreter handles itself: a new one is a file and a line here.
static FLOW: [&dyn Kind; 10] = [
    &delay::KIND,
    &branch::KIND,
    &parallel::KIND,
    &for_each::KIND,
    &go_to::KIND,
    &approval::KIND,
    &pause_workflow::KIND,
    &set_variables::KIND,
    &stop::KIND,
    &wait_until::KIND,
];

/// A kind of node.
pub trait Kind: Debug + Sync {
    /// Its place in the catalogue; the key is what a node's `action` says.
    fn entry(&self) -> &ActionEntry;

    /// JSON Schema (2020-12) of `with`, with the definitions that it refers to.
    fn schema(&self) -> Value;

    /// Whether a template may stand wherever the schema has a value.
    fn takes_templates(&self) -> bool {
        true
    }

    /// Whether a step can fail, so that `on_error` says something.
    fn can_fail(&self) -> bool {
        true
    }

    /// Reads a node. Problems stay with the reader.
    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>>;
}

/// What a definition says of one node, for its kind to read.
#[derive(Debug)]
pub struct NodeText<'v> {
    /// `with`; an empty object where there is none.
    pub with: &'v Value,
    /// Where `with` stands.
    pub at: &'v str,
    /// How its requests are sent, as far as it sends any.
    pub sending: super::Sending,
}

/// What a node does: its `with`, compiled.
pub trait Behaviour: Debug + Send + Sync {
    /// The catalogue key of its kind.
    fn key(&self) -> &'static str;

    /// Every field that its expressions read, with where below `with` the expression stands; empty for `with` itself.
    fn references(&self) -> Vec<(&FieldPath, String)>;

    /// The figures over past events that its conditions are about.
    fn aggregates(&self) -> Vec<&Aggregate> {
        Vec::new()
    }

    /// What it does with the run's contact, beside what its expressions read.
    fn contact(&self) -> ContactUse {
        ContactUse::None
    }

    /// The ways out of it.
    fn ways(&self) -> Ways<'_> {
        Ways::One
    }

    /// The nodes that its options name.
    fn targets(&self) -> Vec<Target<'_>> {
        Vec::new()
    }

    /// What its branches wait for where they meet, if they do.
    fn join(&self) -> Option<&Join> {
        None
    }

    /// How it walks the items of a list, if it does.
    fn each(&self) -> Option<&Each> {
        None
    }

    /// Whether it publishes events, which name the run's event as their cause.
    fn emits(&self) -> bool {
        self.action().is_some_and(|node| !node.action.entry.emits.is_empty())
    }

    /// A token enters the node.
    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward;

    /// The time came that a token waited for on the node.
    fn wake(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        walk.complete(visit, Value::Null);
        Onward::To(visit.node.next)
    }

    /// The types of events that a token waits for on the node; [`CONTACT_CHANGES`](crate::interpreter::CONTACT_CHANGES) where it
    /// waits for a condition.
    fn awaits(&self) -> Vec<&str> {
        Vec::new()
    }

    /// How long before a token waits an event may have happened that it waits for.
    fn looks_back(&self) -> TimeDelta {
        TimeDelta::zero()
    }

    /// A token that waits on the node for others is told something; `None` when it waits on.
    fn hear(
        &self,
        walk: &mut Walk<'_>,
        visit: Visit<'_>,
        awaited: &mut Awaited,
        heard: Heard<'_>,
    ) -> Option<Onward> {
        let _ = (walk, visit, awaited, heard);
        None
    }

    /// The action that the node runs, if it runs one.
    fn action(&self) -> Option<&ActionNode> {
        None
    }
}

impl dyn Behaviour {
    /// Whether it reads a field below this root, or works with the contact.
    pub fn reads(&self, root: &str) -> bool {
        (root == "contact" && self.contact() != ContactUse::None)
            || (root == "event" && !(self.awaits().is_empty() && self.aggregates().is_empty()))
            || self.references().iter().any(|(path, _)| path.reads(root))
    }
}

/// The ways out of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ways<'a> {
    /// None: the run ends there.
    None,
    /// One, by a plain edge.
    One,
    /// One for each name; an edge says which it is.
    Named(Vec<&'a str>),
    /// One by a plain edge, and others by name; the plain one stands in for those that have no edge.
    OneOr(&'a [&'a str]),
    /// One by a plain edge, and others by name; one of these that has no edge ends its branch.
    OneAnd(&'a [&'a str]),
    /// Others by name, each of which may be left out: the kind says what happens then.
    Optional(&'a [&'a str]),
    /// As many as it has plain edges, all of them at once.
    Branches,
}

/// A node that an option of another names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target<'a> {
    /// The option: `with.<key>`.
    pub key: &'static str,
    /// The node's id.
    pub node: &'a str,
    /// What it is to the one that names it.
    pub role: Role,
}

/// What a node is to another whose options name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The branches of the other meet there: it is no way out of that.
    Meeting,
    /// Each item of the other's list begins there: a way out of it like an edge.
    Body,
    /// The other goes on there, a bounded number of times: the one way that may lead back.
    Jump,
}

/// A kind as the compiler knows it.
#[derive(Debug)]
pub struct NodeType {
    /// The kind.
    pub kind: &'static dyn Kind,
    /// Its schema, made once.
    pub schema: Value,
}

/// All kinds that a definition may use, by key.
#[derive(Debug, Default)]
pub struct NodeTypes {
    by_key: BTreeMap<&'static str, NodeType>,
}

impl NodeTypes {
    /// The kinds of the interpreter, and these actions.
    pub fn new(actions: impl IntoIterator<Item = &'static Action>) -> Self {
        let actions = actions.into_iter().map(|action| action as &dyn Kind);
        FLOW.into_iter().chain(actions).fold(Self::default(), Self::with)
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, kind: &'static dyn Kind) -> Self {
        self.by_key.insert(kind.entry().key, NodeType { kind, schema: kind.schema() });
        self
    }

    /// The kind with this key.
    pub fn get(&self, key: &str) -> Option<&NodeType> {
        self.by_key.get(key)
    }

    /// All, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &NodeType> {
        self.by_key.values()
    }

    /// The entry of a key, be there a kind for it by now or not.
    pub fn entry(&self, key: &str) -> Option<&'static ActionEntry> {
        let planned = || crate::catalogue::planned_actions().iter().find(|entry| entry.key == key);
        self.get(key).map(|known| known.kind.entry()).or_else(planned)
    }

    /// The entries of all keys, those with a kind first.
    pub fn entries(&self) -> impl Iterator<Item = &'static ActionEntry> {
        self.iter().map(|known| known.kind.entry()).chain(crate::catalogue::planned_actions())
    }
}
