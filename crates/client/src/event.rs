//! An event as it goes over the wire.

use crate::clock;
use crate::error::InvalidEvent;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A checked event; it serialises as a CloudEvents 1.0 document.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Event {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    time: DateTime<Utc>,
    tenantid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationdepth: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    datacontenttype: &'static str,
    data: Map<String, Value>,
}

/// Builds an [`Event`]; what is not set gets its default.
#[derive(Clone, Debug)]
pub struct EventBuilder {
    event: Event,
    invalid_data: Option<InvalidEvent>,
}

impl Event {
    /// What the engine knows it by, together with tenant and source.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its type, which is its routing key.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// When it happened.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Its payload.
    pub fn data(&self) -> &Map<String, Value> {
        &self.data
    }
}

impl EventBuilder {
    /// An event of `tenant` (its key, a short name), published by `source` (the service: `shop`, `/crm/import`).
    ///
    /// `event_type` is a word of the catalogue (`order.created`) or any other (a custom event).
    pub fn new(tenant: &str, source: &str, event_type: &str) -> Self {
        let event = Event {
            specversion: "1.0",
            id: new_id(),
            source: source.to_owned(),
            event_type: event_type.to_owned(),
            time: clock::wall_clock(),
            tenantid: tenant.to_owned(),
            subject: None,
            correlationid: None,
            causationid: None,
            causationdepth: None,
            traceparent: None,
            tracestate: None,
            datacontenttype: "application/json",
            data: Map::new(),
        };
        Self { event, invalid_data: None }
    }

    /// The contact's id in the publisher's words. Default: none.
    pub fn subject(mut self, subject: &str) -> Self {
        self.event.subject = Some(subject.to_owned());
        self
    }

    /// The payload, which must serialise as a JSON object. Default: `{}`.
    pub fn data(mut self, data: &impl Serialize) -> Self {
        match serde_json::to_value(data) {
            Ok(Value::Object(object)) => {
                self.event.data = object;
                self.invalid_data = None;
            }
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                self.invalid_data = Some(invalid("data", "must be a JSON object"));
            }
            Err(error) => {
                self.invalid_data = Some(invalid("data", &format!("cannot be written as JSON: {error}")))
            }
        }
        self
    }

    /// The id. Default: a new UUIDv7. Set it where the fact has an id of its own, so that a crash between two tries
    /// does not make it two facts.
    pub fn id(mut self, id: &str) -> Self {
        self.event.id = id.to_owned();
        self
    }

    /// When it happened. Default: the machine's clock.
    pub fn time(mut self, time: DateTime<Utc>) -> Self {
        self.event.time = time;
        self
    }

    /// What a chain of events has in common. Default: none.
    pub fn correlation_id(mut self, id: &str) -> Self {
        self.event.correlationid = Some(id.to_owned());
        self
    }

    /// The event that caused this one, and the `causationdepth` it had. Default: none.
    ///
    /// Services that answer events with events must pass this on: it is how endless chains are found and cut.
    pub fn caused_by(mut self, id: &str, depth: u16) -> Self {
        self.event.causationid = Some(id.to_owned());
        self.event.causationdepth = Some(depth.saturating_add(1));
        self
    }

    /// W3C trace context. Default: none.
    pub fn trace(mut self, traceparent: &str, tracestate: Option<&str>) -> Self {
        self.event.traceparent = Some(traceparent.to_owned());
        self.event.tracestate = tracestate.map(str::to_owned);
        self
    }

    /// Checks the event by the rules that the engine would park it for.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] names the attribute and its rule.
    pub fn build(self) -> Result<Event, InvalidEvent> {
        let Self { event, invalid_data } = self;
        if let Some(invalid) = invalid_data {
            return Err(invalid);
        }
        check_text("id", &event.id, 256)?;
        check_text("source", &event.source, 512)?;
        if event.source == "automation" {
            return Err(invalid("source", "must not be \"automation\", which is the engine's own"));
        }
        check_text("type", &event.event_type, 128)?;
        if !is_type(&event.event_type) {
            return Err(invalid("type", "must be words of a-z, 0-9, _ and - with single dots between them"));
        }
        check_text("tenantid", &event.tenantid, 63)?;
        if !event.tenantid.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return Err(invalid("tenantid", "must be letters a-z, digits and -"));
        }
        let optional = [
            ("subject", &event.subject),
            ("correlationid", &event.correlationid),
            ("causationid", &event.causationid),
            ("traceparent", &event.traceparent),
        ];
        for (attribute, value) in optional {
            if let Some(text) = value {
                check_text(attribute, text, 256)?;
            }
        }
        if let Some(text) = &event.tracestate {
            check_text("tracestate", text, 512)?;
        }
        Ok(event)
    }
}

fn check_text(attribute: &'static str, text: &str, max_bytes: usize) -> Result<(), InvalidEvent> {
    if text.is_empty() {
        return Err(invalid(attribute, "must not be empty"));
    }
    if text.len() > max_bytes {
        return Err(invalid(
            attribute,
            &format!("must have at most {max_bytes} bytes, and has {}", text.len()),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(attribute, "must not contain control characters"));
    }
    Ok(())
}

fn is_type(text: &str) -> bool {
    text.split('.').all(|word| {
        !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    })
}

fn invalid(attribute: &'static str, rule: &str) -> InvalidEvent {
    InvalidEvent { attribute, rule: rule.to_owned() }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a publisher names its facts; nothing is decided by this id's time"
)]
fn new_id() -> String {
    Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn builder() -> EventBuilder {
        EventBuilder::new("acme", "shop", "order.created")
    }

    #[test]
    fn an_event_is_a_cloudevents_document() {
        let event = builder()
            .id("7")
            .time(DateTime::from_timestamp(1_790_000_000, 0).unwrap())
            .subject("customer-17")
            .correlation_id("session-3")
            .caused_by("6", 1)
            .trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("a=b"))
            .data(&json!({ "total": 12.5 }))
            .build()
            .unwrap();
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({
                "specversion": "1.0", "id": "7", "source": "shop", "type": "order.created",
                "time": "2026-09-21T14:13:20Z", "tenantid": "acme", "subject": "customer-17",
                "correlationid": "session-3", "causationid": "6", "causationdepth": 2,
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b",
                "datacontenttype": "application/json", "data": { "total": 12.5 },
            })
        );
    }

    #[test]
    fn what_is_not_set_is_left_out() {
        let document = serde_json::to_value(builder().build().unwrap()).unwrap();
        let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        for optional in
            ["subject", "correlationid", "causationid", "causationdepth", "traceparent", "tracestate"]
        {
            assert!(!keys.iter().any(|key| *key == optional), "{optional}");
        }
    }

    #[test]
    fn default_ids_are_version_7_and_differ() {
        let (one, other) = (builder().build().unwrap(), builder().build().unwrap());
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().parse::<Uuid>().unwrap().get_version_num(), 7);
    }

    #[test]
    fn what_the_engine_would_park_is_refused_with_its_rule() {
        let refused = |builder: EventBuilder| builder.build().unwrap_err().to_string();
        assert_eq!(refused(builder().data(&json!([1]))), "data must be a JSON object");
        assert_eq!(refused(builder().id("")), "id must not be empty");
        assert_eq!(
            refused(builder().subject(&"x".repeat(257))),
            "subject must have at most 256 bytes, and has 257"
        );
        assert_eq!(
            refused(builder().correlation_id("a\nb")),
            "correlationid must not contain control characters"
        );
        assert!(refused(EventBuilder::new("acme", "automation", "a")).starts_with("source must not be"));
        assert!(refused(EventBuilder::new("Acme", "shop", "a")).starts_with("tenantid must be letters"));
        for event_type in ["Order.created", "order..created", ".order", "order created"] {
            assert!(refused(EventBuilder::new("acme", "shop", event_type)).starts_with("type must be words"));
        }
    }
}
