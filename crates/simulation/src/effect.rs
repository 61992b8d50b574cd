//! What would have happened outside a run: changes of records, requests and commands.

use automation_domain::effect::{Directive, HttpRequest, Request};
use automation_domain::id::RunId;
use automation_domain::interpreter::StepError;
use automation_domain::json;
use automation_domain::record::{ContactChange, RecordChange, Task};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

/// An effect, and of which step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Done {
    /// When.
    #[serde(serialize_with = "crate::story::time")]
    pub at: DateTime<Utc>,
    /// Of which run.
    pub run: RunId,
    /// Key of its workflow.
    pub workflow: String,
    /// Of which node.
    pub node: String,
    /// Which visit of it.
    pub visit: u32,
    /// What.
    #[serde(flatten)]
    pub effect: Effect,
}

/// An effect outside a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// A contact got a tag that it did not have.
    AddTag {
        /// Its subject.
        contact: String,
        /// The tag.
        tag: String,
    },
    /// A contact lost a tag.
    RemoveTag {
        /// Its subject.
        contact: String,
        /// The tag.
        tag: String,
    },
    /// A field of a contact has another value.
    SetField {
        /// Its subject.
        contact: String,
        /// Its path below `contact.`
        field: String,
        /// The value.
        value: Value,
    },
    /// A task for a person.
    Task {
        /// Whom it is about.
        contact: Option<String>,
        /// What to do.
        title: String,
        /// More words.
        description: Option<String>,
        /// Until when.
        #[serde(serialize_with = "crate::story::maybe_time")]
        due_at: Option<DateTime<Utc>>,
        /// Who is to do it.
        assignee: Option<String>,
    },
    /// A note on a contact.
    Note {
        /// Whom it is about.
        contact: Option<String>,
        /// The text.
        text: String,
    },
    /// A request to the world outside.
    Request {
        /// In upper case.
        method: String,
        /// Absolute.
        url: String,
        /// By name, as the request has them.
        headers: Map<String, Value>,
        /// JSON where it is such, else text; null where there is none.
        body: Value,
        /// Key of the credential that would authorize it.
        credential: Option<String>,
        /// How often it would have been sent.
        tries: u32,
        /// What came of it, once it is not tried again: `done` or a code.
        outcome: Option<String>,
    },
    /// A command for another module.
    Command {
        /// Its type.
        #[serde(rename = "type")]
        command_type: String,
        /// Whom it is for.
        subject: Option<String>,
        /// What the module has to know.
        data: Value,
    },
}

impl Effect {
    /// That of a change that was made; `subject` is the contact's.
    pub(crate) fn of_change(change: &RecordChange, subject: Option<&str>) -> Self {
        let contact = subject.unwrap_or_default().to_owned();
        match change {
            RecordChange::Contact { change: ContactChange::AddTag { tag }, .. } => {
                Self::AddTag { contact, tag: tag.clone() }
            }
            RecordChange::Contact { change: ContactChange::RemoveTag { tag }, .. } => {
                Self::RemoveTag { contact, tag: tag.clone() }
            }
            RecordChange::Contact { change: ContactChange::SetField { field, value }, .. } => {
                Self::SetField { contact, field: field.clone(), value: value.clone() }
            }
            RecordChange::CreateTask(Task { title, description, due_at, assignee, .. }) => Self::Task {
                contact: subject.map(str::to_owned),
                title: title.clone(),
                description: description.clone(),
                due_at: *due_at,
                assignee: assignee.clone(),
            },
            RecordChange::AddNote(note) => {
                Self::Note { contact: subject.map(str::to_owned), text: note.text.clone() }
            }
        }
    }

    /// That of a request before its first try.
    pub(crate) fn of_request(request: &Request) -> Self {
        let Request::Http(HttpRequest { method, url, headers, body, credential, .. }) = request;
        let json = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()));
        Self::Request {
            method: method.clone(),
            url: url.clone(),
            headers: headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect(),
            body: body.as_ref().map(json).unwrap_or_default(),
            credential: credential.clone(),
            tries: 0,
            outcome: None,
        }
    }

    /// That of a command.
    pub(crate) fn of_directive(directive: &Directive) -> Self {
        let Directive { command_type, subject, data } = directive.clone();
        Self::Command { command_type, subject, data }
    }

    /// About how many bytes it takes to keep it.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::AddTag { tag, .. } | Self::RemoveTag { tag, .. } => tag.len(),
            Self::SetField { value, .. } => json::size_bytes(value),
            Self::Task { title, description, .. } => title.len() + text(description),
            Self::Note { text, .. } => text.len(),
            Self::Request { url, body, .. } => url.len() + json::size_bytes(body),
            Self::Command { data, .. } => json::size_bytes(data),
        }
    }

    /// Counts a try of a request.
    pub(crate) fn tried(&mut self, failure: Option<&StepError>) {
        if let Self::Request { tries, outcome, .. } = self {
            *tries += 1;
            *outcome = Some(failure.map_or_else(|| "done".to_owned(), |error| error.code.clone()));
        }
    }
}
