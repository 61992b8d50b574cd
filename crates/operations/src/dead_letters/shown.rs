//! A dead letter, as programs get it.

use crate::runs::EventName;
use automation_domain::id::{DeadLetterId, RunId};
use automation_store::dead_letters::DeadLetter;
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A dead letter in a list.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Line {
    /// Its id.
    pub id: DeadLetterId,
    /// The run that failed.
    pub run: RunId,
    /// The workflow's key.
    pub workflow: String,
    /// The version that the run is pinned to.
    pub version: Option<i32>,
    /// The node that failed.
    pub node: Option<String>,
    /// Which visit of it.
    pub visit: Option<i32>,
    /// Its action.
    pub action: Option<String>,
    /// Stable code of the last error.
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// What alike failures have in common.
    pub signature: String,
    /// Subject of the contact.
    pub contact: Option<String>,
    /// What the run is unique by.
    pub key: String,
    /// How often the step was tried.
    pub attempts: usize,
    /// When the run failed.
    #[serde(serialize_with = "crate::time::one")]
    pub died_at: DateTime<Utc>,
    /// The event that started the run, if it was kept then.
    pub event: Option<EventName>,
    /// `open`, `replayed` or `discarded`.
    pub status: &'static str,
    /// Since when, if anybody did something.
    #[serde(serialize_with = "crate::time::maybe")]
    pub changed_at: Option<DateTime<Utc>>,
    /// Who did it.
    pub changed_by: Option<String>,
    /// Why.
    pub note: Option<String>,
}

/// One try of the step that failed.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: usize,
    /// When it ended.
    #[serde(serialize_with = "crate::time::one")]
    pub at: DateTime<Utc>,
    /// Stable code of its error.
    pub code: String,
    /// The error's sentence.
    pub message: String,
    /// Status of the answer, if one came.
    pub status: Option<u16>,
}

/// Everything about a dead letter; as JSON, its line with every attempt, `request`, `response` and `claim`.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter(pub DeadLetter);

#[derive(Serialize)]
struct Shown<'a> {
    request: &'a Option<Value>,
    response: &'a Option<Value>,
    claim: i32,
    attempts: Vec<Attempt>,
}

impl Letter {
    /// Every try of the step that failed.
    pub fn attempts(&self) -> Vec<Attempt> {
        let attempt = |(index, attempt): (usize, &automation_store::dead_letters::DeadAttempt)| Attempt {
            attempt: index + 1,
            at: attempt.at,
            code: attempt.code.clone(),
            message: attempt.message.clone(),
            status: attempt.status,
        };
        self.0.attempts.iter().enumerate().map(attempt).collect()
    }
}

impl Serialize for Letter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(letter) = self;
        let more = Shown {
            request: &letter.request,
            response: &letter.response,
            claim: letter.epoch,
            attempts: self.attempts(),
        };
        let mut value = serde_json::to_value(Line::from(letter)).map_err(serde::ser::Error::custom)?;
        let more = serde_json::to_value(more).map_err(serde::ser::Error::custom)?;
        if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
            value.extend(more);
        }
        value.serialize(serializer)
    }
}

impl From<&DeadLetter> for Line {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.dead_letter_id,
            run: letter.run_id,
            workflow: letter.workflow.clone(),
            version: letter.version,
            node: letter.node.clone(),
            visit: letter.visit,
            action: letter.action.clone(),
            code: letter.code.clone(),
            message: letter.message.clone(),
            signature: letter.signature.clone(),
            contact: letter.contact.clone(),
            key: letter.run_key.clone(),
            attempts: letter.attempts.len(),
            died_at: letter.died_at,
            event: letter.event.as_ref().map(|(source, id, event_type)| EventName {
                source: source.clone(),
                id: id.clone(),
                event_type: event_type.clone(),
            }),
            status: letter.status.as_str(),
            changed_at: letter.changed_at,
            changed_by: letter.changed_by.clone(),
            note: letter.note.clone(),
        }
    }
}
