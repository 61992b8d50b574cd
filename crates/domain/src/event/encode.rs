//! From an event to CloudEvents 1.0, structured mode.

use super::Event;
use chrono::SecondsFormat;
use serde_json::{Map, Value};

/// Content type of what [`to_cloudevent`] gives.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// Content type of a JSON array of what [`to_cloudevent`] gives.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// The event as a structured CloudEvents 1.0 object; [`super::envelope::read`] reads it back unchanged.
///
/// Absent attributes are left out, and so is a causation depth of 0.
pub fn to_cloudevent(event: &Event) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, text: &str| object.insert(name.to_owned(), Value::from(text));
    set("specversion", "1.0");
    set("id", &event.id);
    set("source", &event.source);
    set("type", &event.event_type);
    set("time", &event.time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    set("tenantid", &event.tenant);
    set("datacontenttype", "application/json");
    let optional = [
        ("subject", &event.subject),
        ("correlationid", &event.correlation_id),
        ("causationid", &event.causation_id),
        ("traceparent", &event.traceparent),
        ("tracestate", &event.tracestate),
    ];
    for (name, text) in optional {
        if let Some(text) = text {
            set(name, text);
        }
    }
    if event.causation_depth > 0 {
        object.insert("causationdepth".to_owned(), event.causation_depth.into());
    }
    object.insert("data".to_owned(), event.data.clone());
    Value::Object(object)
}
