//! Tasks for people.

use super::EmittedEvent;
use crate::id::{ContactId, RecordId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A task for a person.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Derived from run and step.
    pub task_id: RecordId,
    /// Whom it is about.
    pub contact_id: Option<ContactId>,
    /// That contact's subject.
    #[serde(skip)]
    pub subject: Option<String>,
    /// What to do.
    pub title: String,
    /// More words.
    pub description: Option<String>,
    /// Until when.
    pub due_at: Option<DateTime<Utc>>,
    /// Who is to do it.
    pub assignee: Option<String>,
}

impl Task {
    /// What making it causes.
    pub fn created(&self) -> EmittedEvent {
        EmittedEvent {
            event_type: "task.created".to_owned(),
            subject: self.subject.clone(),
            data: json!({
                "task_id": self.task_id, "title": self.title, "due_at": self.due_at, "assignee_id": self.assignee,
            }),
        }
    }

    /// Bytes that it adds to what is kept.
    pub(super) fn bytes(&self) -> usize {
        self.title.len() + self.description.as_ref().map_or(0, String::len)
    }
}
