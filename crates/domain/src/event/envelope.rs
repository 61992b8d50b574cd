//! From a message's bytes and headers to checked events: CloudEvents 1.0, structured, binary and batch.

use super::Event;
use crate::limits::Limits;
use std::collections::BTreeMap;

/// A message as it came from a transport.
#[derive(Clone, Debug, Default)]
pub struct Envelope<'a> {
    /// The transport's content type: decides between structured, batch and binary mode.
    pub content_type: Option<&'a str>,
    /// String headers by lower-case name; binary mode reads `cloudevents:x` and `cloudevents_x`.
    pub headers: BTreeMap<String, String>,
    /// The routing key.
    pub routing_key: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Why an event, or a whole message, is parked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Stable code, listed in `docs/errors.md`: `malformed_json`, `missing_attribute`, `event_too_large`, …
    pub code: String,
    /// One sentence that names the attribute and the limit.
    pub detail: String,
}

/// What a message holds: each member is an event, or the reason and the original bytes of one that is not.
pub type Members = Vec<Result<Event, (Refusal, Vec<u8>)>>;

/// Reads a message.
///
/// # Errors
///
/// A [`Refusal`] for the whole message when it cannot even be split into members; its bytes are parked as they are.
pub fn read(envelope: &Envelope<'_>, limits: &Limits) -> Result<Members, Refusal> {
    let _ = (envelope, limits);
    todo!()
}
