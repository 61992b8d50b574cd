//! What a run asks for: one list, from the nodes that ask to the transaction that grants.

use super::{StepError, Tries};
use crate::effect::{Directive, Request};
use crate::record::{EmittedEvent, RecordChange};
use crate::workflow::NodeIndex;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What a run asks for. What it is owed is no command: [`RunState::owed`](super::RunState::owed) tells that of its state.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Change a record, together with the step that asks.
    Change(RecordChange),
    /// Send a request once the step is stored, and answer with the outcome.
    Send(Send),
    /// Leave a stored request unsent.
    Withhold {
        /// The node.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// Whether it is never sent; else it waits for its time.
        is_skipped: bool,
    },
    /// Publish a command once the step is stored.
    Publish(Directive),
    /// Publish an event of the engine's own once the step is stored.
    Emit(EmittedEvent),
    /// Wake the run at this time.
    Wake {
        /// The token that waits.
        token: u16,
        /// The node it stands on.
        node: NodeIndex,
        /// When.
        until: DateTime<Utc>,
        /// How long from now, for another try: an entry of the ladder, of the node's delays, or what the other side named.
        retry: Option<Duration>,
    },
    /// Keep what failed for good for a person: a branch died, whether the run goes on or not.
    Bury {
        /// The node that failed.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// Why.
        error: StepError,
    },
    /// Something for the run's log.
    Log(Step),
    /// The run ended; [`RunState::end`](super::RunState::end) says how.
    Finish,
}

impl Command {
    /// The change of a record that it asks for.
    pub fn change(&self) -> Option<&RecordChange> {
        if let Self::Change(change) = self { Some(change) } else { None }
    }

    /// The line of history that it is.
    pub fn step(&self) -> Option<&Step> {
        if let Self::Log(step) = self { Some(step) } else { None }
    }

    /// The request that it asks for.
    pub fn send(&self) -> Option<&Send> {
        if let Self::Send(send) = self { Some(send) } else { None }
    }

    /// The event that it has published.
    pub fn event(&self) -> Option<&EmittedEvent> {
        if let Self::Emit(event) = self { Some(event) } else { None }
    }

    /// What it has published.
    pub fn directive(&self) -> Option<&Directive> {
        if let Self::Publish(directive) = self { Some(directive) } else { None }
    }
}

/// A request that is to be sent.
#[derive(Clone, PartialEq, Debug)]
pub struct Send {
    /// The token to answer for.
    pub token: u16,
    /// The node.
    pub node: NodeIndex,
    /// Which visit of the node: part of every derived id and idempotency key.
    pub visit: u32,
    /// What the step has used up, this try included.
    pub tries: Tries,
    /// What is sent.
    pub request: Request,
    /// Whether it is stored already, by an earlier try.
    pub is_stored: bool,
    /// What is committed with the start of this try.
    pub changes: Vec<RecordChange>,
}

/// One line of a run's history.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Node id; a trigger's id for the first line.
    pub node: String,
    /// `trigger`, the key of an action or another kind of node, or what was done about a step: `replay`, `discard`.
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
    /// Begun, and waiting: for a time, or until a policy lets it act.
    Waiting,
    /// A try failed, and another follows.
    Retrying,
    /// A policy did not let it act, which is no error.
    Skipped,
}
