//! What a run is between two inputs, what can happen to it, and what it asks for.

use crate::workflow::NodeIndex;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A run between two inputs: a small document, saved by every checkpoint.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RunState {
    /// One token per active branch, by token number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<u16, Token>,
    /// Variables of the run.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// The latest result of each node, by node id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, StepResult>,
    /// Steps taken so far; bounded by `limits.steps`.
    #[serde(default)]
    pub step_count: u32,
    /// How the run ended, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// Where a branch stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The node it stands on, by id: ids are stable, indexes are not.
    pub node: String,
    /// How many times this node has been entered, this time included; 1 is the first.
    pub visit: u32,
    /// What it waits for.
    pub waits: Waits,
}

/// What a token waits for; always something named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Waits {
    /// The outcome of the action that was asked for.
    Action,
    /// A time.
    Timer {
        /// When it goes on.
        until: DateTime<Utc>,
    },
}

/// The latest result of a node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StepResult {
    /// Times the node was entered.
    pub visits: u32,
    /// What the action returned.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// The case a branch took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
}

/// Why a step failed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepError {
    /// Stable code, listed in `docs/errors.md`.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum End {
    /// It reached an end.
    Completed,
    /// A step failed for good.
    Failed {
        /// Where; `None` when it was not a step.
        node: Option<String>,
        /// Why.
        error: StepError,
    },
    /// A person or a rule ended it.
    Cancelled {
        /// Why, in a sentence.
        reason: String,
    },
}

/// Something that happened to a run.
#[derive(Clone, PartialEq, Debug)]
pub enum RunEvent {
    /// The run begins at the node its trigger leads to.
    Started {
        /// That trigger's id.
        trigger: String,
    },
    /// The action that a token waits for came back. Node and visit are those of [`Command::RunAction`]: an answer that
    /// is repeated, or late, matches no token and changes nothing.
    ActionCompleted {
        /// Which token.
        token: u16,
        /// The node that asked.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// What it returned.
        output: Value,
    },
    /// The action that a token waits for failed for good.
    ActionFailed {
        /// Which token.
        token: u16,
        /// The node that asked.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// Why.
        error: StepError,
    },
    /// The clock reached what tokens wait for: every token whose time is at or before `now` goes on.
    TimerFired,
    /// The run is to end.
    Cancelled {
        /// Why, in a sentence.
        reason: String,
    },
}

/// What a run asks the edges to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Run the action of this node and answer with its outcome.
    RunAction {
        /// The token to answer for.
        token: u16,
        /// The node.
        node: NodeIndex,
        /// Which visit of the node: part of every derived id and idempotency key.
        visit: u32,
    },
    /// Wake the run at this time.
    WaitUntil {
        /// The token that waits.
        token: u16,
        /// The node it stands on.
        node: NodeIndex,
        /// When.
        until: DateTime<Utc>,
    },
    /// Something for the run's log that needs no answer.
    Log(Step),
    /// The run ended; [`RunState::end`] says how.
    Finish,
}

/// One line of a run's history.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Node id; a trigger's id for the first line.
    pub node: String,
    /// `trigger`, `branch`, `delay`, `stop_workflow` or an action's key.
    pub action: String,
    /// Which visit of the node.
    pub visit: u32,
    /// How it went.
    pub outcome: StepOutcome,
    /// What it returned, which case was taken, until when it waits.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

/// How a step went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// Done.
    Completed,
    /// Failed for good.
    Failed,
    /// Begun, and waiting.
    Waiting,
}
