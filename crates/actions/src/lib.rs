//! What workflows can do: one file per action kind, and the list of those that have a handler.

use automation_domain::facts::Facts;
use automation_domain::id::RecordId;
use automation_domain::interpreter::StepError;
use automation_domain::record::RecordChange;
use automation_domain::workflow::Contracts;
use serde_json::Value;

/// What a record action comes to before anything is written.
#[derive(Clone, PartialEq, Debug)]
pub struct Prepared {
    /// Changes for the checkpoint's transaction.
    pub changes: Vec<RecordChange>,
    /// What later steps see as `steps.<node>.output`.
    pub output: Value,
}

/// Which step asks.
#[derive(Clone, Copy, Debug)]
pub struct StepContext<'a> {
    /// The facts that the configuration was rendered with.
    pub facts: Facts<'a>,
    /// Id for a record the step makes.
    pub record_id: RecordId,
}

/// The contracts of every action that has a handler, the flow actions included.
pub fn contracts() -> &'static Contracts {
    todo!()
}

/// Prepares an action: pure, and final for this visit of the node. `config` is rendered.
///
/// # Errors
///
/// A [`StepError`] when the rendered configuration is not acceptable; trying again cannot help.
pub fn prepare(action: &str, config: &Value, step: StepContext<'_>) -> Result<Prepared, StepError> {
    let _ = (action, config, step);
    todo!()
}
