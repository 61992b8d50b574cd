//! Actions: what each of them is, in one value. Those of the engine stand in the crate `actions`, a file each.

use crate::catalogue::ActionEntry;
use crate::effect::Request;
use crate::facts::Facts;
use crate::id::{IdempotencyKey, RecordId};
use crate::interpreter::StepError;
use crate::record::RecordChange;
use serde_json::{Map, Value};
use std::fmt;

/// An action: its place in the catalogue, what the compiler has to know, and what it does.
pub struct Action {
    /// Key, group and effect, and what it publishes.
    pub entry: ActionEntry,
    /// JSON Schema (2020-12) of `with`, before templates are rendered.
    pub schema: fn() -> Value,
    /// What it does with the run's contact.
    pub contact: ContactUse,
    /// What the schema cannot say. It gets those members of `with` that hold no template, and answers with the key and
    /// a sentence for each that will fail every run.
    pub check: Check,
    /// From the rendered `with` to what the step comes to: pure, and final for this visit of the node.
    pub prepare: Prepare,
}

/// Finds faults in literal options: each with its key and a sentence.
pub type Check = fn(&Map<String, Value>) -> Vec<(&'static str, String)>;

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
