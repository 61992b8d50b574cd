//! Batch mode: one message, many events of one type.

use super::Event;
use super::envelope::{Member, Members, Refusal, check_size, structured};
use crate::limits::Limits;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Splits a batch and reads every member; a bad one is refused alone. Each remembers exactly the bytes it had in the array.
pub(super) fn read(body: &[u8], routing_key: Option<&str>, limits: &Limits) -> Result<Members, Refusal> {
    let members = members(body, limits)?;
    Ok(members
        .into_iter()
        .map(|bytes| {
            // A member borrows from the body.
            let begin = bytes.as_ptr().addr() - body.as_ptr().addr();
            Member { bytes: begin..begin + bytes.len(), outcome: read_member(bytes, routing_key, limits) }
        })
        .collect())
}

/// The bytes of every member.
pub(super) fn members<'a>(body: &'a [u8], limits: &Limits) -> Result<Vec<&'a [u8]>, Refusal> {
    if body.len() > limits.batch_bytes {
        return Err(Refusal::new(
            "batch_too_large",
            format!("the batch has {} bytes; at most {} are allowed", body.len(), limits.batch_bytes),
        ));
    }
    let members = split(body, limits.batch_events)?;
    Ok(members.into_iter().map(|member| member.get().as_bytes()).collect())
}

fn read_member(bytes: &[u8], routing_key: Option<&str>, limits: &Limits) -> Result<Event, Refusal> {
    check_size(bytes, limits)?;
    let event = structured(bytes, limits)?;
    if let Some(key) = routing_key.filter(|key| *key != event.event_type) {
        return Err(Refusal::new(
            "batch_mixed_types",
            format!("the event's type \"{}\" is not the batch's routing key \"{key}\"", event.event_type),
        ));
    }
    Ok(event)
}

/// Finds where each member begins and ends; nothing inside a member is checked but that it is JSON.
fn split(body: &[u8], limit: usize) -> Result<Vec<&RawValue>, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let members = (&mut reader)
        .deserialize_seq(Split { limit })
        .and_then(|members| reader.end().map(|()| members))
        .map_err(|error| {
            Refusal::new("malformed_batch", format!("the batch is not a JSON array of events: {error}"))
        })?;
    if members.len() > limit {
        return Err(Refusal::new(
            "batch_too_many",
            format!("the batch has more than the {limit} events that are allowed"),
        ));
    }
    Ok(members)
}

/// Collects members; of a batch with too many, only the first that is too many is kept.
struct Split {
    limit: usize,
}

impl<'de> Visitor<'de> for Split {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_element::<&RawValue>()? {
            if members.len() <= self.limit {
                members.push(member);
            }
        }
        Ok(members)
    }
}
