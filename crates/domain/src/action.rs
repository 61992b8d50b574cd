//! Actions: what each of them is, in one value. Those of the engine stand in the crate `actions`, a file each.

use crate::catalogue::ActionEntry;
use crate::effect::{Directive, Outcome, Request};
use crate::facts::Facts;
use crate::id::{IdempotencyKey, RecordId};
use crate::interpreter::StepError;
use crate::record::RecordChange;
use crate::template::is_template;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// An action: its place in the catalogue, what the compiler has to know, and what it does.
pub struct Action {
    /// Key, group and effect, and what it publishes.
    pub entry: ActionEntry,
    /// JSON Schema (2020-12) of `with`, before templates are rendered.
    pub schema: fn() -> Value,
    /// What it does with the run's contact.
    pub contact: ContactUse,
    /// What the schema cannot say, or says in words of its own: the key and a sentence for each option that will fail every
    /// run.
    pub check: Check,
    /// From the rendered `with` to what the step comes to: pure, and final for this visit of the node.
    pub prepare: Prepare,
    /// Whether what leaves the engine may leave now; [`passes`] where nobody has to be asked.
    pub gate: Gate,
    /// The ways out beside the plain one; [`NamedWays::NONE`] where there are no others.
    pub ways: NamedWays,
    /// Reads what a request came to, where success stands in the answer and not in its status; [`as_answered`] where it does
    /// not, and for what sends nothing.
    pub receive: Receive,
}

/// Reads the outcome of a try: pure, and asked for every one.
pub type Receive = fn(Outcome) -> Outcome;

/// Leaves an outcome as the connector tells it.
pub fn as_answered(outcome: Outcome) -> Outcome {
    outcome
}

/// Decides about what is about to leave: pure, and asked before every try.
pub type Gate = fn(Outgoing<'_>, &StepContext<'_>) -> Decision;

/// What is about to leave the engine.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Outgoing<'a> {
    /// A request to the world outside.
    Request(&'a Request),
    /// A command for the module that owns a screen.
    Directive(&'a Directive),
}

/// What a gate says.
#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// It leaves.
    Send {
        /// What is to be counted or taken for it: committed with the start of the try, and not at all should there be no
        /// room for it yet.
        changes: Vec<RecordChange>,
    },
    /// It may leave later: the gate is asked again then. That uses up no attempt.
    Hold {
        /// When.
        until: DateTime<Utc>,
        /// Why, in a word of the policy and a sentence.
        reason: Reason,
    },
    /// It does not leave, which is no error: the step is done, and goes the way [`SKIPPED`] where it has one.
    Skip {
        /// Why.
        reason: Reason,
    },
}

/// Why something was held or skipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// Stable word of the policy.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: String,
}

/// Lets everything leave.
pub fn passes(_outgoing: Outgoing<'_>, _step: &StepContext<'_>) -> Decision {
    Decision::Send { changes: Vec::new() }
}

/// The way out of a step that its gate skipped.
pub const SKIPPED: &str = "skipped";

/// The ways out of an action beside the plain one. A step that takes one without an edge goes the plain way.
#[derive(Clone, Copy)]
pub struct NamedWays {
    /// Their names.
    pub names: &'static [&'static str],
    /// Which of them a step goes that is done, by its output; `None`: the plain one.
    pub of_output: fn(&Value) -> Option<&'static str>,
}

impl NamedWays {
    /// The plain one alone.
    pub const NONE: Self = Self { names: &[], of_output: |_| None };
}

/// Finds faults in options that hold no template: each with its key and a sentence.
pub type Check = fn(&Literals) -> Vec<(&'static str, String)>;

/// The options of a node as far as they are known before templates are rendered.
#[derive(Clone, PartialEq, Debug)]
pub struct Literals {
    /// Those that hold no template, as an object.
    pub known: Value,
    /// The keys of the others.
    templated: BTreeSet<String>,
}

impl Literals {
    /// Those of a node's `with`.
    pub fn of(with: &Map<String, Value>) -> Self {
        let (templated, known): (Vec<_>, Vec<_>) = with.iter().partition(|(_, value)| has_template(value));
        Self {
            known: known.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            templated: templated.into_iter().map(|(key, _)| key.clone()).collect(),
        }
    }

    /// Whether an option is there and known.
    pub fn knows(&self, key: &str) -> bool {
        self.known.get(key).is_some()
    }

    /// Whether an option is what a template will come to.
    pub fn is_templated(&self, key: &str) -> bool {
        self.templated.contains(key)
    }
}

fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(members) => members.values().any(has_template),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Prepares a step. The error says why the rendered configuration is not acceptable; trying again cannot help.
pub type Prepare = fn(&Value, &StepContext<'_>) -> Result<Prepared, StepError>;

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Action").field(&self.entry.key).finish()
    }
}

/// What an action does with the run's contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContactUse {
    /// It fails where the run is about none.
    Needed,
    /// It works with the contact where there is one.
    Optional,
    /// Nothing.
    None,
}

/// What an action comes to before anything is written or sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Prepared {
    /// Changes of our own records: done with the checkpoint that writes them.
    Changes {
        /// For the checkpoint's transaction.
        changes: Vec<RecordChange>,
        /// What later steps see as `steps.<node>.output`.
        output: Value,
    },
    /// A request to the world outside, to be stored and then sent.
    Request(Request),
    /// A command for the module that owns a screen, to be stored and then published.
    Directive {
        /// For the outbox.
        directive: Directive,
        /// What later steps see as `steps.<node>.output`.
        output: Value,
    },
}

/// Which step asks.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// The facts that the configuration was rendered with.
    pub facts: Facts<'a>,
    /// Id for a record the step makes.
    pub record_id: RecordId,
    /// What its request is known by to whoever receives it.
    pub idempotency_key: IdempotencyKey,
}
