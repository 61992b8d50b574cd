//! What the corpus is evaluated over: an event as large as one may be.

use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::event::envelope::{self, Envelope};
use automation_domain::id::{ContactId, EventId, RunId};
use automation_domain::limits::Limits;
use automation_domain::retry::Ladder;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

pub struct Subject {
    pub event: RecordedEvent,
    pub contact: Contact,
    pub limits: Limits,
    pub ladder: Ladder,
    pub run_id: RunId,
    pub now: DateTime<Utc>,
}

/// Bytes of each long text in the event.
pub const TEXT_BYTES: usize = 56 * 1024;

/// The event's long texts: of words, of zeros and ones without a pattern, of one letter, of letters beyond ASCII.
pub const TEXTS: [&str; 4] = ["words", "bits", "same", "letters"];

impl Default for Subject {
    fn default() -> Self {
        let limits = Limits::default();
        let data = json!({
            "words": "lorem ipsum ".repeat(TEXT_BYTES / 12),
            "bits": bits(),
            "same": "a".repeat(TEXT_BYTES),
            "letters": "größe ".repeat(TEXT_BYTES / 8),
            "list": (0..2_000).collect::<Value>(),
            "items": [{ "sku": "a", "price": 1.5 }, { "sku": "b", "price": 2 }],
            "deep": deep(),
        });
        let body = json!({
            "specversion": "1.0", "id": "1", "source": "shop", "type": "order.created", "tenantid": "acme",
            "subject": "c-1", "time": "2026-11-24T08:00:00Z", "data": data,
        });
        let body = body.to_string().into_bytes();
        let envelope = Envelope { body: &body, ..Envelope::default() };
        let mut members = envelope::read_unrouted(&envelope, &limits).expect("the subject is an event");
        let event = members.remove(0).outcome.expect("the subject is an event");
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("it is in range");
        let event = RecordedEvent { event_id: EventId::derive(now, event.key), received_at: now, event };
        let mut contact = Contact::new(ContactId(Uuid::from_u128(7)), "c-1");
        contact.tags = vec!["vip".to_owned()];
        Self { event, contact, limits, ladder: Ladder::default(), run_id: RunId(Uuid::from_u128(9)), now }
    }
}

/// Zeros and ones by a generator of its own: the same on every machine.
fn bits() -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state & 1 == 0 { '0' } else { '1' }
    };
    (0..TEXT_BYTES).map(|_| next()).collect()
}

fn deep() -> Value {
    (0..60).fold(json!(1), |inner, _| json!([inner]))
}
