//! What a node can be: a file for each kind, with all there is to it.
//!
//! A kind reads the `with` of a node into a [`Behaviour`], which says what the node reads and which ways lead out of it, and
//! moves tokens. The compiler, the JSON Schema and the interpreter know kinds by these two traits alone. Every action is a
//! kind too, by [`action`].

mod action;
mod branch;
mod delay;
mod stop;

pub use action::ActionNode;
pub use branch::{Branch, Case};
pub use delay::Delay;
pub use stop::Stop;

use super::compile::Reader;
use crate::action::{Action, ContactUse};
use crate::catalogue::ActionEntry;
use crate::facts::FieldPath;
use crate::interpreter::{Onward, Visit, Walk};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// The kinds that the interpreter handles itself: a new one is a file and a line here.
static FLOW: [&dyn Kind; 3] = [&delay::KIND, &branch::KIND, &stop::KIND];

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

    /// What it does with the run's contact, beside what its expressions read.
    fn contact(&self) -> ContactUse {
        ContactUse::None
    }

    /// The ways out of it.
    fn ways(&self) -> Ways<'_> {
        Ways::One
    }

    /// A token enters the node.
    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward;

    /// The time came that a token waited for on the node.
    fn wake(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        walk.complete(visit, Value::Null);
        Onward::To(visit.node.next)
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
