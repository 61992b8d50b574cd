//! Changes to our own records, which a checkpoint applies exactly once.

pub mod stamps;

mod apply;

use crate::contact::Contact;
use crate::id::{ContactId, RecordId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stamps::{Applied, Stamp};

/// One change that a step makes to the engine's own records.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum RecordChange {
    /// A change to a contact.
    Contact {
        /// Which contact.
        contact_id: ContactId,
        /// What changes.
        change: ContactChange,
    },
    /// A new task.
    CreateTask(Task),
    /// A new note.
    AddNote(Note),
}

/// One change to a contact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ContactChange {
    /// Adds a tag.
    AddTag {
        /// The tag.
        tag: String,
    },
    /// Removes a tag.
    RemoveTag {
        /// The tag.
        tag: String,
    },
    /// Sets a built-in field (`first_name`) or one of the tenant's own (`fields.plan`); null clears it.
    SetField {
        /// Path below `contact.`
        field: String,
        /// New value.
        value: Value,
    },
}

/// A task for a person.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Derived from run and step.
    pub task_id: RecordId,
    /// Whom it is about.
    pub contact_id: Option<ContactId>,
    /// What to do.
    pub title: String,
    /// More words.
    pub description: Option<String>,
    /// Until when.
    pub due_at: Option<DateTime<Utc>>,
    /// Who is to do it.
    pub assignee: Option<String>,
}

/// A note on a contact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Derived from run and step.
    pub note_id: RecordId,
    /// Whom it is about.
    pub contact_id: ContactId,
    /// The text.
    pub text: String,
}

/// An event that follows from a change: it leaves through the outbox with the run's causation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EmittedEvent {
    /// Catalogue key.
    pub event_type: String,
    /// The contact's subject.
    pub subject: Option<String>,
    /// Payload.
    pub data: Value,
}

impl ContactChange {
    /// Applies the change, unless newer news is known of what it changes, and gives the event that it causes.
    pub fn apply(&self, contact: &mut Contact, stamp: Stamp) -> Applied<EmittedEvent> {
        apply::apply(self, contact, stamp)
    }
}
