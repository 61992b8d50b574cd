//! How events are packed into messages.

use crate::error::PublishError;
use crate::event::Event;

/// Largest event, in bytes of its document.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// Largest batch message, in bytes.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Most events in a batch message.
pub const MAX_BATCH_EVENTS: usize = 500;

/// How [`publish_all`](crate::Publisher::publish_all) packs events into messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// A message for each event, in their order.
    Single,
    /// Messages of up to 500 events of one type: ten times the throughput. Order is kept within a type.
    Batches,
}

/// A message, and which events are in it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    pub(crate) event_type: String,
    pub(crate) content_type: &'static str,
    /// The id of the event in it, or of the first.
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    /// Places of its events in the list that was packed.
    pub(crate) members: Vec<usize>,
}

/// Packs `events`; an event that is too large is left out and reported with its place.
pub(crate) fn pack(events: &[Event], packing: Packing) -> (Vec<Message>, Vec<(usize, PublishError)>) {
    let mut messages: Vec<Message> = Vec::new();
    let mut refused = Vec::new();
    for (place, event) in events.iter().enumerate() {
        let document = match document(event) {
            Ok(document) => document,
            Err(error) => {
                refused.push((place, error));
                continue;
            }
        };
        match packing {
            Packing::Single => messages.push(single(event, document, place)),
            Packing::Batches => {
                // The last batch of a type is the open one; the types of a list are few.
                let open = messages.iter_mut().rev().find(|message| message.event_type == event.event_type());
                match open {
                    Some(batch) if batch.has_room_for(&document) => batch.add(&document, place),
                    Some(_) | None => messages.push(Message::batch_of(event, &document, place)),
                }
            }
        }
    }
    for message in &mut messages {
        if message.content_type == BATCH {
            message.body.push(b']');
        }
    }
    (messages, refused)
}

/// Packs events of one type into exactly one message.
pub(crate) fn pack_one_batch(events: &[Event]) -> Result<Message, PublishError> {
    let Some(first) = events.first() else {
        return Err(PublishError::Limit("a batch holds at least one event".to_owned()));
    };
    if let Some(other) = events.iter().find(|event| event.event_type() != first.event_type()) {
        let (one, other) = (first.event_type(), other.event_type());
        return Err(PublishError::Limit(format!("a batch holds events of one type, not {one} and {other}")));
    }
    let (mut messages, refused) = pack(events, Packing::Batches);
    if let Some((_, error)) = refused.into_iter().next() {
        return Err(error);
    }
    match (messages.pop(), messages.is_empty()) {
        (Some(message), true) => Ok(message),
        (_, _) => Err(PublishError::Limit(format!(
            "a batch holds at most {MAX_BATCH_EVENTS} events and {MAX_BATCH_BYTES} bytes"
        ))),
    }
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn document(event: &Event) -> Result<Vec<u8>, PublishError> {
    let document = serde_json::to_vec(event).map_err(|error| PublishError::Limit(error.to_string()))?;
    if document.len() > MAX_EVENT_BYTES {
        let (id, size) = (event.id(), document.len());
        return Err(PublishError::Limit(format!(
            "the event {id} has {size} bytes; at most {MAX_EVENT_BYTES} are allowed"
        )));
    }
    Ok(document)
}

fn single(event: &Event, document: Vec<u8>, place: usize) -> Message {
    Message {
        event_type: event.event_type().to_owned(),
        content_type: STRUCTURED,
        id: event.id().to_owned(),
        body: document,
        members: vec![place],
    }
}

impl Message {
    fn batch_of(event: &Event, document: &[u8], place: usize) -> Self {
        let body = [b"[", document].concat();
        Self { content_type: BATCH, body, ..single(event, Vec::new(), place) }
    }

    fn has_room_for(&self, document: &[u8]) -> bool {
        // A comma before the document and the bracket behind it.
        self.members.len() < MAX_BATCH_EVENTS && self.body.len() + document.len() + 2 <= MAX_BATCH_BYTES
    }

    fn add(&mut self, document: &[u8], place: usize) {
        self.body.push(b',');
        self.body.extend_from_slice(document);
        self.members.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventBuilder;
    use serde_json::{Value, json};

    fn events(types: &[&str]) -> Vec<Event> {
        types
            .iter()
            .map(|event_type| EventBuilder::new("acme", "shop", event_type).build().unwrap())
            .collect()
    }

    fn large(bytes: usize) -> Event {
        let data = json!({ "text": "x".repeat(bytes) });
        EventBuilder::new("acme", "shop", "page.visited").data(&data).build().unwrap()
    }

    #[test]
    fn batches_hold_one_type_and_keep_its_order() {
        let events = events(&["a", "b", "a", "b", "a"]);
        let (messages, refused) = pack(&events, Packing::Batches);
        assert!(refused.is_empty());
        let members: Vec<&[usize]> = messages.iter().map(|message| message.members.as_slice()).collect();
        assert_eq!(members, [&[0, 2, 4][..], &[1, 3]]);
        let body: Vec<Value> = serde_json::from_slice(&messages[0].body).unwrap();
        assert_eq!(body[1]["id"], events[2].id());
    }

    #[test]
    fn a_batch_is_closed_by_count_and_by_size() {
        let (messages, _) = pack(&events(&["a"; 501]), Packing::Batches);
        assert_eq!(messages.iter().map(|message| message.members.len()).collect::<Vec<_>>(), [500, 1]);
        let (messages, _) = pack(&vec![large(200_000); 30], Packing::Batches);
        assert_eq!(messages.len(), 2);
        assert!(messages.iter().all(|message| message.body.len() <= MAX_BATCH_BYTES));
        let held: usize = messages
            .iter()
            .map(|message| serde_json::from_slice::<Vec<Value>>(&message.body).unwrap().len())
            .sum();
        assert_eq!(held, 30);
    }

    #[test]
    fn an_event_that_is_too_large_is_left_out_alone() {
        let events = [events(&["a"]), vec![large(MAX_EVENT_BYTES)], events(&["a"])].concat();
        let (messages, refused) = pack(&events, Packing::Single);
        assert_eq!(messages.len(), 2);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0, 1);
    }

    #[test]
    fn one_batch_is_refused_when_it_would_be_two() {
        assert!(pack_one_batch(&events(&["a"; 500])).is_ok());
        for wrong in [vec![], events(&["a", "b"]), events(&["a"; 501]), vec![large(200_000); 30]] {
            assert!(matches!(pack_one_batch(&wrong), Err(PublishError::Limit(_))));
        }
    }
}
