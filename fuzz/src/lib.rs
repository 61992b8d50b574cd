//! What every target evaluates over, and what has to hold after every evaluation.

use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::event::envelope::{self, Envelope};
use automation_domain::facts::{Facts, RunFacts, TenantFacts};
use automation_domain::id::{ContactId, EventId, RunId};
use automation_domain::interpreter::RunState;
use automation_domain::limits::Limits;
use chrono::{DateTime, Utc};
use serde_json::json;

/// An event of a contact, in a run that has a variable and a step behind it.
pub struct Sample {
    event: RecordedEvent,
    contact: Contact,
    state: RunState,
    run_id: RunId,
    now: DateTime<Utc>,
    budget: Budget,
    limits: Limits,
}

impl Default for Sample {
    fn default() -> Self {
        let limits = Limits::default();
        let body = json!({
            "specversion": "1.0", "id": "1", "source": "shop", "type": "order.created", "tenantid": "acme",
            "subject": "c-1", "time": "2026-11-24T08:00:00Z",
            "data": {
                "total": 80.5, "none": null, "text": "größer 2026-11-24 ".repeat(40), "number": "80",
                "items": [{ "sku": "a", "price": 1 }, { "sku": "b", "price": 2.5 }, { "sku": "c" }],
                "tree": { "a": { "b": { "c": [1, [2, [3, [4]]]] } } },
            },
        });
        let body = body.to_string().into_bytes();
        let envelope = Envelope { body: &body, ..Envelope::default() };
        let mut members = envelope::read_unrouted(&envelope, &limits).expect("the sample is an event");
        let event = members.remove(0).outcome.expect("the sample is an event");
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let run_id = "00000000-0000-4000-8000-000000000009".parse().map(RunId).expect("an id");
        let contact_id = "00000000-0000-4000-8000-000000000007".parse().map(ContactId).expect("an id");
        let mut contact = Contact::new(contact_id, "c-1");
        contact.tags = vec!["vip".into(), "new".into()];
        contact.fields.insert("plan".into(), json!("pro"));
        let state = json!({
            "vars": { "list": [1, 2, 3], "word": "x" },
            "steps": { "a": { "visits": 1, "output": { "id": 7, "lines": ["x", "y"] } } },
        });
        let state = serde_json::from_value(state).expect("the sample is a state");
        let event = RecordedEvent { event_id: EventId::derive(now, event.key), received_at: now, event };
        Self { event, contact, state, run_id, now, budget: Budget::new(&limits), limits }
    }
}

impl Sample {
    /// The limits that everything is read with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The facts.
    pub fn facts(&self) -> Facts<'_> {
        let run = RunFacts {
            run_id: self.run_id,
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
            past: automation_domain::past::Past::Unknown,
            tenant: TenantFacts::new("acme", "UTC"),
            now: self.now,
            budget: &self.budget,
        }
    }

    /// Fails when more was charged than there was.
    pub fn check(&self) {
        assert!(self.budget.spent_steps() <= self.limits.evaluation_steps);
        assert!(self.budget.spent_bytes() <= self.limits.evaluation_bytes);
    }
}
