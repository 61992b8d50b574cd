//! The attributes of an event, as a schema for structured mode and as headers for binary mode.

use serde_json::{Map, Value, json};

/// An attribute: its name, whether it must be there, and its schema.
struct Attribute {
    name: &'static str,
    required: bool,
    schema: Value,
}

/// The rules of docs/events.md; `crates/domain/src/event/attributes.rs` keeps them.
fn attributes() -> Vec<Attribute> {
    let text = |name, required, most: u32, description: &str| Attribute {
        name,
        required,
        schema: json!({ "type": "string", "minLength": 1, "maxLength": most, "description": description }),
    };
    let mut all = vec![
        text("id", true, 256, "Known together with tenantid and source for 7 days; a UUIDv7 is best."),
        text("source", true, 512, "The service that publishes; automation is the engine's own."),
        text("type", true, 128, "Also the routing key."),
        text("time", true, 64, "RFC 3339, when it happened."),
        text("tenantid", true, 63, "The tenant's key."),
        text("subject", false, 256, "The contact's id in the publisher's words."),
        text("datacontenttype", false, 256, "application/json."),
        text("correlationid", false, 256, "What a chain of events has in common."),
        text("causationid", false, 256, "Id of the event that caused this one."),
        Attribute {
            name: "causationdepth",
            required: false,
            schema: json!({
                "type": ["integer", "string"],
                "description": "Links in the chain of causes, 0 to 65535; more than 5 is parked.",
            }),
        },
        text("traceparent", false, 512, "W3C trace context."),
        text("tracestate", false, 512, "W3C trace state."),
    ];
    let specversion = json!({ "type": "string", "const": "1.0", "description": "Version of CloudEvents." });
    all.insert(0, Attribute { name: "specversion", required: true, schema: specversion });
    for attribute in &mut all {
        let pattern = match attribute.name {
            "type" => r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$",
            "tenantid" => "^[a-z0-9-]+$",
            _ => continue,
        };
        attribute.schema["pattern"] = pattern.into();
    }
    all
}

/// The schema of an event in structured mode; `data` is described beside it, by type.
pub(super) fn event() -> Value {
    let all = attributes();
    let required: Vec<&str> =
        all.iter().filter(|attribute| attribute.required).map(|attribute| attribute.name).collect();
    let mut properties: Map<String, Value> =
        all.iter().map(|attribute| (attribute.name.to_owned(), attribute.schema.clone())).collect();
    properties.insert(
        "data".to_owned(),
        json!({ "type": ["object", "null"], "description": "The payload; missing or null is {}." }),
    );
    json!({
        "type": "object",
        "description": "A CloudEvents 1.0 document. Other extension attributes are accepted and not kept.",
        "required": required,
        "properties": properties,
        "additionalProperties": true,
    })
}

/// The headers of binary mode.
pub(super) fn headers() -> Value {
    let all = attributes();
    let name = |attribute: &Attribute| format!("cloudEvents:{}", attribute.name);
    // Its place is the content type of the message.
    let in_headers: Vec<&Attribute> =
        all.iter().filter(|attribute| attribute.name != "datacontenttype").collect();
    let required: Vec<String> =
        in_headers.iter().filter(|attribute| attribute.required).map(|attribute| name(attribute)).collect();
    let properties: Map<String, Value> =
        in_headers.iter().map(|attribute| (name(attribute), attribute.schema.clone())).collect();
    json!({
        "type": "object",
        "description": "Attributes of the event; cloudEvents_<name> and ce-<name> are read too, and values of the broker's own types.",
        "required": required,
        "properties": properties,
    })
}
