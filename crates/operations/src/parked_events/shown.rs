//! A parked event, as programs get it.

use super::message;
use crate::Refusal;
use automation_domain::event::admission::BrokerUsers;
use automation_domain::id::TenantId;
use automation_store::events::parked::{Parked, ParkedBody};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A parked event in a list.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its id.
    pub id: Uuid,
    /// Why: a stable code.
    pub reason: String,
    /// The same as a sentence.
    pub detail: String,
    /// Its type, or routing key.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Who published it: a user of the broker, an API key or a webhook.
    pub user: Option<String>,
    /// How many bytes were received.
    pub bytes: usize,
    /// How often it was parked.
    pub occurrences: i32,
    /// When it was last parked.
    #[serde(serialize_with = "crate::time::one")]
    pub last_seen_at: DateTime<Utc>,
    /// `open`, `replayed` or `discarded`.
    pub status: &'static str,
}

/// Everything about a parked event.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Shown {
    /// What a list says of it.
    #[serde(flatten)]
    pub line: Line,
    /// The broker's user who sent it.
    pub broker_user: Option<String>,
    /// The queue it was taken from.
    pub queue: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// The tenant, when it could be told.
    pub tenant_id: Option<TenantId>,
    /// When it was first parked.
    #[serde(serialize_with = "crate::time::one")]
    pub first_seen_at: DateTime<Utc>,
    /// Its headers.
    pub headers: Map<String, Value>,
    /// Since when it is as it is, if anybody did something.
    #[serde(serialize_with = "crate::time::maybe")]
    pub changed_at: Option<DateTime<Utc>>,
    /// Who did it.
    pub changed_by: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// The body as text, where it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its SHA-256 in hexadecimal digits, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
    /// The body as received, where it was kept.
    #[serde(skip)]
    pub bytes: Option<Vec<u8>>,
}

impl Line {
    /// What a list says of it.
    pub(super) fn of(parked: &Parked, users: &BrokerUsers) -> Self {
        Self {
            id: parked.parked_id,
            reason: parked.reason.clone(),
            detail: parked.detail.clone(),
            event_type: parked.routing_key.clone(),
            user: message::publisher(parked, users),
            bytes: parked.body.size(),
            occurrences: parked.occurrences,
            last_seen_at: parked.last_seen_at,
            status: parked.status.as_str(),
        }
    }
}

impl Shown {
    /// Everything about it.
    pub(super) fn of(parked: Parked, users: &BrokerUsers) -> Self {
        let line = Line::of(&parked, users);
        let (bytes, body_sha256) = match parked.body {
            ParkedBody::Kept(bytes) => (Some(bytes), None),
            ParkedBody::Left { sha256, .. } => {
                (None, Some(sha256.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
        };
        Self {
            line,
            broker_user: parked.amqp_user,
            queue: parked.queue,
            content_type: parked.content_type,
            tenant_id: parked.tenant_id,
            first_seen_at: parked.first_seen_at,
            headers: parked.headers,
            changed_at: parked.changed_at,
            changed_by: parked.changed_by,
            note: parked.note,
            body: bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            body_sha256,
            bytes,
        }
    }
}

pub(super) fn encode(parked: &Parked) -> String {
    format!("{}_{}", parked.last_seen_at.timestamp_micros(), parked.parked_id)
}

pub(super) fn decode(cursor: &str) -> Result<(DateTime<Utc>, Uuid), Refusal> {
    let parts = cursor.split_once('_').and_then(|(micros, id)| {
        Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
    });
    parts.ok_or(Refusal::Cursor)
}
