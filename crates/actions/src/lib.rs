//! What workflows can do: one file per action kind, and the list of those that have a handler.

mod add_note;
mod add_tag;
mod catalogue;
mod config;
mod create_task;
mod remove_tag;
mod update_field;
mod walk;

pub use catalogue::{contracts, prepare};
pub use walk::{RunInput, Walked, walk};

use automation_domain::facts::Facts;
use automation_domain::id::RecordId;
use automation_domain::record::RecordChange;
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

#[cfg(test)]
mod prepare_tests;
