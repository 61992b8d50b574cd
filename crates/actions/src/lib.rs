//! What workflows can do: one file per action kind, and the list of those that have a handler.

mod add_note;
mod add_tag;
mod catalogue;
mod config;
mod create_task;
mod http_request;
mod remove_tag;
mod update_field;
mod walk;

pub use catalogue::{contracts, prepare};
pub use http_request::check_edited;
pub use walk::{Asked, RunInput, Wait, WaitReason, Walked, walk};

use automation_domain::effect::Request;
use automation_domain::facts::Facts;
use automation_domain::id::{IdempotencyKey, RecordId};
use automation_domain::record::RecordChange;
use serde_json::Value;

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

#[cfg(test)]
mod prepare_tests;
