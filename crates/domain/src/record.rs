//! Changes to our own records, which a checkpoint applies exactly once: a module for each record, and what of them is alike
//! here.

mod contact;
mod note;
pub mod stamps;
mod task;

pub use contact::ContactChange;
pub use note::Note;
pub use task::Task;

use crate::contact::Contact;
use crate::id::ContactId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stamps::Stamp;

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

/// Kinds of records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Record {
    /// Contacts.
    Contact,
    /// Tasks.
    Task,
    /// Notes.
    Note,
}

impl Record {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Contact, Self::Task, Self::Note];
}

impl RecordChange {
    /// What kind of record it changes.
    pub fn record(&self) -> Record {
        match self {
            Self::Contact { .. } => Record::Contact,
            Self::CreateTask(_) => Record::Task,
            Self::AddNote(_) => Record::Note,
        }
    }

    /// Bytes that it adds at most to what is kept of its kind.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Contact { change, .. } => change.bytes(),
            Self::CreateTask(task) => task.bytes(),
            Self::AddNote(note) => note.bytes(),
        }
    }

    /// Lets later steps of a walk see what it does to the run's contact; the events that follow are the checkpoint's business.
    pub fn fold(&self, contact: &mut Contact, stamp: Stamp) {
        match self {
            Self::Contact { contact_id, change } if *contact_id == contact.contact_id => {
                change.apply(contact, stamp);
            }
            Self::Contact { .. } | Self::CreateTask(_) | Self::AddNote(_) => {}
        }
    }
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
