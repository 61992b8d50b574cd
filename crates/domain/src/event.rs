//! A domain event as the engine knows it once it was read and checked.

pub mod admission;
pub mod caused;
pub mod coding;
pub mod encode;
pub mod envelope;

mod attributes;
mod batch;
mod body_hash;
mod split;

pub use body_hash::body_hash;

use crate::id::{EventId, EventKey};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The `source` of every event that the engine itself publishes; nobody else may use it.
pub const ENGINE_SOURCE: &str = "automation";

/// The extension attribute in which the engine names where an event comes from that is one link too many of its chain of causes, as
/// `workflow/node`.
pub const CAUSED_BY: &str = "causedby";

/// A fact from outside, as CloudEvents 1.0 attributes and JSON data.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Identity within the tenant, from `source` and `id`.
    pub key: EventKey,
    /// The publisher's id of the event.
    pub id: String,
    /// Who published it; a URI reference.
    pub source: String,
    /// The catalogue's trigger key, or any other word (a custom event).
    pub event_type: String,
    /// The tenant's key, as sent.
    pub tenant: String,
    /// When it happened, in the publisher's clock.
    pub time: DateTime<Utc>,
    /// The contact's id in the publisher's words.
    pub subject: Option<String>,
    /// What a chain of events has in common.
    pub correlation_id: Option<String>,
    /// The event that caused this one.
    pub causation_id: Option<String>,
    /// Links in the chain of causes before this event; 0 for an event from outside.
    pub causation_depth: u16,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// W3C trace state.
    pub tracestate: Option<String>,
    /// The payload; an object for every type of the catalogue.
    pub data: Value,
    /// SHA-256 over type, subject and canonical data: what tells a repeated event from a conflicting one. `time` is
    /// not part of it, so that a publisher which stamps each try stays harmless.
    pub body_hash: [u8; 32],
}

impl Event {
    /// Whether the engine published it.
    pub fn is_from_engine(&self) -> bool {
        self.source == ENGINE_SOURCE
    }
}

/// Longest type, in bytes.
const TYPE_BYTES: usize = 128;

/// Whether events can have this type: at most 128 bytes of words of `a-z 0-9 _ -` with single dots between them.
///
/// Dots separate the words of a routing key, so an empty word would be a type that no binding can name.
pub fn is_type(text: &str) -> bool {
    text.len() <= TYPE_BYTES && text.split('.').all(|word| !word.is_empty() && is_word(word))
}

/// Whether it names one type, every type below some words, or every type: `form.submitted`, `form.*`, `*`.
pub fn is_type_pattern(text: &str) -> bool {
    text == "*" || is_type(text.strip_suffix(".*").unwrap_or(text))
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// An event as recorded: what runs refer to.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordedEvent {
    /// The id it is recorded under.
    pub event_id: EventId,
    /// When ingest committed it, in the database's clock.
    pub received_at: DateTime<Utc>,
    /// The event.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_can_match_types_or_are_none() {
        for pattern in ["form.submitted", "form.*", "*", "a.b.c.*"] {
            assert!(is_type_pattern(pattern), "{pattern}");
        }
        for pattern in [
            "",
            ".",
            ".*",
            "form*",
            "form.s*",
            "form..*",
            "form*submitted",
            "**",
            "Order.*",
            "form.* ",
            "form .*",
            "form.*.x",
        ] {
            assert!(!is_type_pattern(pattern), "{pattern}");
        }
    }
}
