//! A run of a simulation.

use crate::goals::Goal;
use automation_domain::effect::Request;
use automation_domain::id::{ContactId, EventId, RunId};
use automation_domain::interpreter::{End, OwedFor, RunState, Step, StoredRequests};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

/// A run, as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Key of its workflow.
    pub workflow: String,
    /// Its trigger.
    pub trigger: String,
    /// What it is unique by.
    pub key: String,
    /// Whom it is about, in the publisher's words.
    pub contact: Option<String>,
    /// When it was made.
    pub started_at: DateTime<Utc>,
    /// When it ended, if it did.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its state.
    pub state: RunState,
    /// Its history, with when each line was written.
    pub log: Vec<(DateTime<Utc>, Step)>,
    pub(crate) playing: usize,
    pub(crate) contact_id: Option<ContactId>,
    pub(crate) event: EventId,
    /// What it is for.
    pub(crate) goal: Option<Goal>,
    /// How often it was walked: what it causes is numbered within each.
    pub(crate) epoch: u32,
    /// When it is to be walked next by the clock.
    pub(crate) due: Option<DateTime<Utc>>,
    /// Its requests, by node and visit.
    pub(crate) requests: Requests,
    /// How many requests it sent, by node.
    pub(crate) sent: BTreeMap<String, usize>,
}

/// How a run ended, or that it has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It reached an end, or what it is for.
    Completed,
    /// A step failed for good.
    Failed,
    /// Another run took its place.
    Cancelled,
    /// An event ended it.
    Exited,
    /// It has not: it waits.
    Waiting,
}

impl Ended {
    /// All, with their words.
    pub const ALL: [(&'static str, Self); 5] = [
        ("completed", Self::Completed),
        ("failed", Self::Failed),
        ("cancelled", Self::Cancelled),
        ("exited", Self::Exited),
        ("waiting", Self::Waiting),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Exited => "exited",
            Self::Waiting => "waiting",
        }
    }
}

impl Run {
    /// How it ended.
    pub fn ended(&self) -> Ended {
        match &self.state.end {
            None => Ended::Waiting,
            Some(End::Completed) if self.state.ended_by.as_ref().is_some_and(|by| !by.is_goal) => {
                Ended::Exited
            }
            Some(End::Completed) => Ended::Completed,
            Some(End::Failed { .. }) => Ended::Failed,
            Some(End::Cancelled { .. }) => Ended::Cancelled,
        }
    }

    /// Whether it waits for events of this type.
    pub(crate) fn awaits(&self, event_type: &str) -> bool {
        self.state.end.is_none() && self.state.awaited_types().contains(event_type)
    }

    /// Keeps when the clock is to wake it.
    pub(crate) fn set_due(&mut self, now: DateTime<Utc>) {
        let owed = if self.state.end.is_some() { Vec::new() } else { self.state.owed(now) };
        let when = owed.into_iter().filter_map(|owed| match owed.waits_for {
            OwedFor::Timer { until } | OwedFor::Retry { until } => Some(until),
            OwedFor::Others | OwedFor::Outcome => None,
        });
        self.due = when.min();
    }
}

/// The requests of a run, as they were before their first try.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Requests(pub(crate) BTreeMap<(String, u32), Request>);

impl StoredRequests for Requests {
    fn request(&self, node: &str, visit: u32) -> Option<&Request> {
        self.0.get(&(node.to_owned(), visit))
    }
}
