//! Facts for tests; each test changes only what matters to it.

use super::{Facts, RunFacts, TenantFacts};
use crate::budget::Budget;
use crate::contact::Contact;
use crate::event::{Event, RecordedEvent};
use crate::id::{ContactId, EventId, EventKey, RunId};
use crate::interpreter::RunState;
use crate::past::{History, Past};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

/// An order of a contact called Ada, late on a Tuesday evening.
pub(crate) struct Sample {
    pub(crate) event: RecordedEvent,
    pub(crate) contact: Contact,
    pub(crate) state: RunState,
    pub(crate) past: Option<History>,
    /// Name of the tenant's zone.
    pub(crate) zone: String,
    pub(crate) now: DateTime<Utc>,
    pub(crate) budget: Budget,
}

impl Default for Sample {
    fn default() -> Self {
        let now: DateTime<Utc> = "2026-11-24T23:30:00Z".parse().unwrap();
        let key = EventKey::derive("shop", "1");
        let event = Event {
            key,
            id: "1".into(),
            source: "shop".into(),
            event_type: "order.created".into(),
            tenant: "acme".into(),
            time: "2026-11-24T08:00:00Z".parse().unwrap(),
            subject: Some("c-1".into()),
            correlation_id: None,
            causation_id: None,
            causation_depth: 0,
            traceparent: None,
            tracestate: None,
            data: json!({}),
            body_hash: [0; 32],
        };
        let mut contact = Contact::new(ContactId(Uuid::from_u128(7)), "c-1");
        contact.email = Some("ada@example.com".into());
        contact.first_name = Some("Ada".into());
        Self {
            event: RecordedEvent { event_id: EventId::derive(now, key), received_at: now, event },
            contact,
            state: RunState::default(),
            past: None,
            zone: "UTC".to_owned(),
            now,
            budget: Budget::default(),
        }
    }
}

impl Sample {
    pub(crate) fn facts(&self) -> Facts<'_> {
        let run = RunFacts {
            run_id: RunId(Uuid::from_u128(9)),
            run_key: "c-1",
            started_at: self.now,
            workflow: "welcome",
            version: 3,
            state: &self.state,
            item: None,
        };
        Facts {
            event: Some(&self.event),
            contact: Some(&self.contact),
            run: Some(run),
            past: self.past.as_ref().map_or(Past::Unknown, Past::Of),
            tenant: TenantFacts::new("acme", &self.zone),
            now: self.now,
            budget: &self.budget,
        }
    }
}
