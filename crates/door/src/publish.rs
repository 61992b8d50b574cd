//! On to the broker: few messages, each on behalf of whoever sent the events, and an answer only after the confirms.

use crate::Door;
use crate::problems;
use crate::reading::{Form, Incoming, prefixed};
use automation_broker::publisher::Message;
use automation_broker::topology::EVENTS;
use automation_domain::event::admission::ON_BEHALF_OF;
use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_domain::id::TenantId;
use automation_domain::limits::Limits;
use automation_http_server::problem::Problem;
use automation_service_kit::ids;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::BTreeMap;

impl Door {
    /// Publishes events of a tenant on behalf of `publisher`; returns when the broker has all of them on disk.
    pub(crate) async fn publish(
        &self,
        tenant: TenantId,
        publisher: &str,
        events: Vec<Incoming>,
    ) -> Result<Response, Problem> {
        let count = events.len();
        let unavailable = || {
            problems::unavailable(
                "broker_unavailable",
                "the events are not confirmed, and perhaps not published",
            )
        };
        let messages = pack(events, &self.config.limits)
            .into_iter()
            .map(|packed| packed.into_message(&self.config.amqp_user, publisher))
            .collect();
        let _turn = self.lanes.wait(tenant).await;
        if let Err(error) = self.publisher.publish_all(messages).await {
            tracing::warn!(%error, events = count, "events that came over HTTP are not confirmed");
            return Err(unavailable());
        }
        self.accepted.add(count as u64, &[]);
        let body = json!({ "accepted": count }).to_string();
        Ok((StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], body).into_response())
    }
}

/// What goes into one message.
#[derive(Clone, PartialEq, Debug)]
struct Packed {
    event_type: String,
    content_type: &'static str,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    members: usize,
}

impl Packed {
    fn one(Incoming { event, form }: Incoming) -> Self {
        let (content_type, headers, body) = match form {
            Form::Structured(bytes) => (STRUCTURED, BTreeMap::new(), bytes),
            Form::Binary { attributes, data } => ("application/json", prefixed(&attributes), data),
        };
        Self { event_type: event.event_type, content_type, headers, body, members: 1 }
    }

    /// Adds a structured event of the same type, if there is room for it.
    fn add(&mut self, bytes: &[u8], limits: &Limits) -> bool {
        // Two brackets and a comma, when this is the first event to come beside another.
        if self.members >= limits.batch_events || self.body.len() + bytes.len() + 3 > limits.batch_bytes {
            return false;
        }
        if self.content_type == STRUCTURED {
            self.content_type = BATCH;
            self.body.insert(0, b'[');
            self.body.push(b']');
        }
        self.body.pop();
        self.body.push(b',');
        self.body.extend_from_slice(bytes);
        self.body.push(b']');
        self.members += 1;
        true
    }

    fn into_message(self, amqp_user: &str, publisher: &str) -> Message {
        let mut headers = self.headers;
        headers.insert(ON_BEHALF_OF.to_owned(), publisher.to_owned());
        Message {
            exchange: EVENTS.to_owned(),
            routing_key: self.event_type,
            body: self.body,
            content_type: self.content_type.to_owned(),
            headers,
            message_id: ids::new_id().to_string(),
            timestamp: None,
            user_id: Some(amqp_user.to_owned()),
        }
    }
}

/// Packs events of one type together, in their order.
fn pack(events: Vec<Incoming>, limits: &Limits) -> Vec<Packed> {
    let mut all: Vec<Packed> = Vec::new();
    // The message of each type that has room.
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for incoming in events {
        if let Form::Structured(bytes) = &incoming.form
            && let Some(place) = open.get(&incoming.event.event_type)
            && all[*place].add(bytes, limits)
        {
            continue;
        }
        if matches!(incoming.form, Form::Structured(_)) {
            open.insert(incoming.event.event_type.clone(), all.len());
        }
        all.push(Packed::one(incoming));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Mode, read};
    use axum::http::HeaderMap;
    use serde_json::Value;

    fn events(types: &[&str]) -> Vec<Incoming> {
        let event = |(number, event_type): (usize, &&str)| {
            json!({ "specversion": "1.0", "id": number.to_string(), "source": "shop", "type": event_type,
                    "time": "2026-01-01T00:00:00Z", "data": {} })
        };
        let batch: Value = types.iter().enumerate().map(event).collect();
        read(Mode::Batch, &HeaderMap::new(), batch.to_string().into_bytes(), "acme", &Limits::default())
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .collect()
    }

    fn ids(packed: &Packed) -> Vec<String> {
        let body: Value = serde_json::from_slice(&packed.body).unwrap();
        let members =
            if packed.content_type == BATCH { body.as_array().cloned().unwrap() } else { vec![body] };
        assert_eq!(members.len(), packed.members);
        members.iter().map(|member| member["id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn events_of_one_type_share_a_message_in_their_order() {
        let packed = pack(events(&["a", "b", "a", "a"]), &Limits::default());
        let seen: Vec<_> =
            packed.iter().map(|one| (one.event_type.as_str(), one.content_type, ids(one))).collect();
        assert_eq!(
            seen,
            [
                ("a", BATCH, vec!["0".to_owned(), "2".to_owned(), "3".to_owned()]),
                ("b", STRUCTURED, vec!["1".to_owned()]),
            ]
        );
    }

    #[test]
    fn a_message_is_never_larger_than_ingest_takes() {
        let one = events(&["a"]).remove(0);
        let Form::Structured(bytes) = &one.form else { panic!("not structured") };
        // Room for two events, their comma and their brackets.
        let limits = Limits { batch_bytes: 2 * bytes.len() + 3, ..Limits::default() };
        let packed = pack(events(&["a"; 5]), &limits);
        assert_eq!(packed.iter().map(|one| one.members).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(packed.iter().all(|one| one.body.len() <= limits.batch_bytes));
        let few = Limits { batch_events: 3, ..Limits::default() };
        assert_eq!(pack(events(&["a"; 5]), &few).iter().map(|one| one.members).collect::<Vec<_>>(), [3, 2]);
    }

    #[test]
    fn a_message_speaks_for_the_publisher() {
        let message = Packed::one(events(&["a"]).remove(0)).into_message("engine", "apikey:shop");
        assert_eq!(message.headers[ON_BEHALF_OF], "apikey:shop");
        assert_eq!((message.user_id.as_deref(), message.routing_key.as_str()), (Some("engine"), "a"));
    }
}
