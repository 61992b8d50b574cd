//! What a simulation begins with, and what happens from outside.

use automation_domain::facts::Tz;
use automation_domain::id::{TenantId, digest};
use automation_domain::limits::Limits;
use automation_domain::retry::Ladder;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// For whom, when, and within which bounds.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Key of the tenant: splits place contacts by it.
    pub tenant: String,
    /// Its id: ids of contacts are derived from it.
    pub tenant_id: TenantId,
    /// Whose clock counts where a contact has none.
    pub zone: Tz,
    /// When it begins.
    pub start: DateTime<Utc>,
    /// What steps and decisions may use up.
    pub limits: Limits,
    /// When failed requests are tried again.
    pub ladder: Ladder,
}

impl Setting {
    /// A tenant that exists nowhere, in UTC, with the bounds that the engine has unless it is configured otherwise.
    pub fn new(tenant: &str, start: DateTime<Utc>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            tenant_id: TenantId(digest(&[b"simulated tenant", tenant.as_bytes()])),
            zone: Tz::UTC,
            start,
            limits: Limits::default(),
            ladder: Ladder::default(),
        }
    }
}

/// Something that happens from outside.
#[derive(Clone, PartialEq, Debug)]
pub enum Happening {
    /// A publisher's event.
    Event {
        /// Its type.
        event_type: String,
        /// The contact, in the publisher's words.
        subject: Option<String>,
        /// Its payload.
        data: Value,
        /// Who published it; `test` where nobody says.
        source: Option<String>,
        /// The publisher's id; a number of its own where nobody says.
        id: Option<String>,
        /// When it happened, where that is not when it comes.
        time: Option<DateTime<Utc>>,
    },
    /// A schedule fires.
    Slot {
        /// Key of the workflow.
        workflow: String,
        /// Its trigger.
        trigger: String,
    },
}

impl Happening {
    /// An event about somebody.
    pub fn event(event_type: &str, subject: Option<&str>, data: Value) -> Self {
        Self::Event {
            event_type: event_type.to_owned(),
            subject: subject.map(str::to_owned),
            data,
            source: None,
            id: None,
            time: None,
        }
    }
}
