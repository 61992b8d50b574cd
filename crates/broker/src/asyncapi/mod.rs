//! The contract with publishers as an AsyncAPI 3.0 document: `docs/asyncapi.yaml`.
//!
//! Written from the engine's side: what it receives, and what it sends. Everything that can change comes from the
//! topology, the catalogue and the limits; a test compares the committed file.

mod envelope;
mod messages;

use crate::VHOST;
use crate::topology::EVENTS;
use automation_domain::catalogue::{self, TriggerEntry};
use automation_domain::hook::EVENT_TYPE;
use automation_domain::limits::Limits;
use automation_domain::notice::RAISED;
use automation_domain::schedule::EVENT_PREFIX;
use serde_json::{Map, Value, json};

/// Version of the contract: the first number moves when a publisher has to change.
const CONTRACT_VERSION: &str = "1.0.0";

/// The document's parts, in the order they are read in. `published` are the types of the events that actions publish.
pub fn document(published: &[&str]) -> Vec<(&'static str, Value)> {
    let limits = Limits::default();
    vec![
        ("asyncapi", "3.0.0".into()),
        ("info", info()),
        ("defaultContentType", messages::STRUCTURED.into()),
        ("servers", servers()),
        ("channels", channels()),
        ("operations", operations(published)),
        ("components", messages::components(&limits)),
    ]
}

/// The name of the channel of every type that the catalogue does not have.
const CUSTOM: &str = "custom";

fn info() -> Value {
    json!({
        "title": "Automation Engine: events",
        "version": CONTRACT_VERSION,
        "description": "How other services publish events to Automation Engine over AMQP 0-9-1, and which events it \
                        publishes itself. The words are in docs/events.md. Publish with confirms and the mandatory \
                        flag; an event counts as published when its confirm came and it was not returned. An event is \
                        known by tenant, source and id: publishing it again is harmless.",
        "license": { "name": "MIT OR Apache-2.0" },
        "tags": catalogue::trigger_groups()
            .iter()
            .map(|group| json!({ "name": group.key, "description": group.description }))
            .collect::<Vec<_>>(),
    })
}

fn servers() -> Value {
    let server = |protocol: &str, host: &str, description: &str| {
        json!({
            "host": host,
            "pathname": format!("/{VHOST}"),
            "protocol": protocol,
            "protocolVersion": "0-9-1",
            "description": description,
            "security": [{ "$ref": "#/components/securitySchemes/user" }],
        })
    };
    json!({
        "plain": server("amqp", "localhost:5672", "RabbitMQ on the same machine or in a private network."),
        "tls": server("amqps", "rabbitmq.example.com:5671", "RabbitMQ over TLS."),
    })
}

fn channels() -> Value {
    let known = catalogue::triggers().iter().map(|entry| (entry.key.to_owned(), channel(entry)));
    let custom = json!({
        "address": "{type}",
        "title": "Custom events",
        "description": "Any other type: choose a name, get a grant for it, publish. Nothing has to be declared.",
        "parameters": {
            "type": {
                "description": "Words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes.",
                "examples": ["invoice.overdue"],
            },
        },
        "messages": messages::references(CUSTOM),
        "bindings": bindings(),
    });
    known.chain([(CUSTOM.to_owned(), custom)]).collect::<Map<_, _>>().into()
}

fn channel(entry: &TriggerEntry) -> Value {
    json!({
        "address": entry.key,
        "title": entry.key,
        "description": format!("{} Priority {}.", entry.description, entry.priority.as_str()),
        "tags": [{ "name": entry.group }],
        "messages": messages::references(entry.key),
        "bindings": bindings(),
    })
}

/// A channel is a routing key on the one exchange that publishers may write to.
fn bindings() -> Value {
    json!({
        "amqp": {
            "is": "routingKey",
            "exchange": { "name": EVENTS, "type": "topic", "durable": true, "autoDelete": false, "vhost": VHOST },
            "bindingVersion": "0.3.0",
        },
    })
}

fn operations(published: &[&str]) -> Value {
    let from_others = |key: &&str| !key.starts_with(EVENT_PREFIX);
    let keys = catalogue::triggers().iter().map(|entry| entry.key).filter(from_others);
    let receive = keys.chain([CUSTOM]).map(|key| {
        let operation = json!({
            "action": "receive",
            "title": format!("Receive {key}"),
            "channel": { "$ref": format!("#/channels/{key}") },
            "messages": messages::channel_references(key, &messages::MODES),
            "bindings": { "amqp": { "deliveryMode": 2, "mandatory": true, "bindingVersion": "0.3.0" } },
        });
        (format!("receive.{key}"), operation)
    });
    let send = catalogue::triggers().iter().filter(|entry| is_sent(entry.key, published)).map(|entry| {
        let operation = json!({
            "action": "send",
            "title": format!("Send {}", entry.key),
            "description": why_sent(entry.key, published),
            "channel": { "$ref": format!("#/channels/{}", entry.key) },
            "messages": messages::channel_references(entry.key, &messages::MODES[..1]),
            "bindings": { "amqp": { "deliveryMode": 2, "bindingVersion": "0.3.0" } },
        });
        (format!("send.{}", entry.key), operation)
    });
    receive.chain(send).collect::<Map<_, _>>().into()
}

/// Whether the engine itself publishes events of this type.
fn is_sent(event_type: &str, published: &[&str]) -> bool {
    let of_its_own = event_type == RAISED || event_type.starts_with(EVENT_PREFIX);
    published.contains(&event_type) || event_type == EVENT_TYPE || of_its_own
}

fn why_sent(event_type: &str, published: &[&str]) -> &'static str {
    if published.contains(&event_type) {
        "What an action changed, after the change was committed: with source automation, and the chain of causes carried on."
    } else if event_type == EVENT_TYPE {
        "A call of a webhook, with source /v1/hooks/<hook_id> and the caller's own id."
    } else if event_type == RAISED {
        "Something that whoever owns a workflow is to know; once, however often it happens until the notice is dismissed."
    } else {
        "A slot of a schedule came. Nobody but the engine publishes this type."
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PUBLISHED: [&str; 2] = ["contact.tag_added", "task.created"];

    fn parts() -> Map<String, Value> {
        document(&PUBLISHED).into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str));
                    members.values().for_each(|member| references(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let document = Value::Object(parts());
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 300, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn there_is_a_channel_for_every_trigger_and_one_for_the_rest() {
        let document = parts();
        for entry in catalogue::triggers() {
            assert_eq!(document["channels"][entry.key]["address"], entry.key);
            // Schedules are the engine's own.
            let action = &document["operations"][format!("receive.{}", entry.key)]["action"];
            assert_eq!(action == "receive", entry.group != "system" || !entry.key.starts_with(EVENT_PREFIX));
        }
        assert_eq!(document["channels"].as_object().unwrap().len(), catalogue::triggers().len() + 1);
    }

    #[test]
    fn what_is_sent_is_what_the_engine_publishes() {
        let document = parts();
        let operations = document["operations"].as_object().unwrap().keys();
        let sent: Vec<_> = operations.filter(|name| name.starts_with("send.")).collect();
        let mut expected = [
            "contact.tag_added",
            "notice.raised",
            "schedule.cron",
            "schedule.interval",
            "task.created",
            "webhook.received",
        ];
        expected.sort_unstable();
        assert_eq!(sent, expected.map(|name| format!("send.{name}")).iter().collect::<Vec<_>>());
    }
}
