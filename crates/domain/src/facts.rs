//! What conditions and templates may look at.

use crate::budget::Budget;
use crate::contact::Contact;
use crate::event::RecordedEvent;
use crate::id::RunId;
use crate::interpreter::RunState;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::borrow::Cow;

/// Everything known while a step is evaluated; a missing part makes its fields missing, never an error.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The event that started the run, or that is being matched.
    pub event: Option<&'a RecordedEvent>,
    /// The contact.
    pub contact: Option<&'a Contact>,
    /// The run, when there is one.
    pub run: Option<RunFacts<'a>>,
    /// The tenant's key.
    pub tenant: &'a str,
    /// The database's clock, read once per batch.
    pub now: DateTime<Utc>,
    /// What evaluating over these facts may cost, all together.
    pub budget: &'a Budget,
}

/// The part of [`Facts`] that a run adds.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    /// The run.
    pub run_id: RunId,
    /// What the run is unique by within its workflow.
    pub run_key: &'a str,
    /// When the run was made.
    pub started_at: DateTime<Utc>,
    /// The workflow's key.
    pub workflow: &'a str,
    /// Number of the pinned version.
    pub version: i32,
    /// Variables and outputs of steps.
    pub state: &'a RunState,
}

impl<'a> Facts<'a> {
    /// The value at a path such as `event.data.total` or `contact.fields.plan`; `None` when it is missing.
    pub fn field(&self, path: &FieldPath) -> Option<Cow<'a, Value>> {
        lookup::field(self, path)
    }
}

mod lookup;
mod path;
#[cfg(test)]
pub(crate) mod sample;

pub use path::{FieldPath, ROOTS};
