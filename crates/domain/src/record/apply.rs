//! Applying a change to a contact.

use super::{ContactChange, EmittedEvent};
use crate::contact::field::OWN;
use crate::contact::{Contact, field, insert_sorted, remove_sorted};
use crate::json;
use serde_json::{Map, Value, json};

pub(super) fn apply(change: &ContactChange, contact: &mut Contact) -> Option<EmittedEvent> {
    let (event_type, data) = match change {
        ContactChange::AddTag { tag } => {
            insert_sorted(&mut contact.tags, tag).then(|| ("contact.tag_added", json!({ "tag": tag })))
        }
        ContactChange::RemoveTag { tag } => {
            remove_sorted(&mut contact.tags, tag).then(|| ("contact.tag_removed", json!({ "tag": tag })))
        }
        ContactChange::SetField { field, value } => field::replace(contact, field, value)
            .map(|from| ("contact.updated", json!({ "changes": nested(field, told(from), value) }))),
    }?;
    Some(EmittedEvent { event_type: event_type.to_owned(), subject: Some(contact.subject.clone()), data })
}

/// Largest old value that is told, in bytes of JSON. An event must stay within what ingest takes, and what a field held
/// may have come with an event of any size.
const MOST_OF_FROM: usize = 64 * 1024;

/// The old value, null when it is too large to be told.
fn told(from: Value) -> Value {
    if json::size_bytes(&from) > MOST_OF_FROM { Value::Null } else { from }
}

/// `{field: {from, to}}`, below `fields` for the tenant's own, so that a condition on
/// `event.data.changes.fields.plan.to` finds it.
fn nested(field: &str, from: Value, to: &Value) -> Value {
    let change = json!({ "from": from, "to": to });
    let below = |name: &str, inner| Value::Object(Map::from_iter([(name.to_owned(), inner)]));
    match field.strip_prefix(OWN) {
        Some(own) => below("fields", below(own, change)),
        None => below(field, change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ContactId;
    use uuid::Uuid;

    fn contact() -> Contact {
        let mut contact = Contact::new(ContactId(Uuid::nil()), "c-1");
        contact.tags = vec!["b".to_owned(), "d".to_owned()];
        contact
    }

    fn set(field: &str, value: Value) -> ContactChange {
        ContactChange::SetField { field: field.to_owned(), value }
    }

    #[test]
    fn tags_stay_sorted_and_unique() {
        let mut contact = contact();
        let add = |tag: &str| ContactChange::AddTag { tag: tag.to_owned() };
        let event = apply(&add("c"), &mut contact).unwrap();
        assert_eq!((event.event_type.as_str(), event.data), ("contact.tag_added", json!({"tag": "c"})));
        assert_eq!(event.subject.as_deref(), Some("c-1"));
        assert_eq!(apply(&add("c"), &mut contact), None);
        assert_eq!(contact.tags, ["b", "c", "d"]);
        let remove = ContactChange::RemoveTag { tag: "b".to_owned() };
        assert_eq!(apply(&remove, &mut contact).unwrap().event_type, "contact.tag_removed");
        assert_eq!(apply(&remove, &mut contact), None);
        assert_eq!(contact.tags, ["c", "d"]);
    }

    #[test]
    fn an_old_value_that_is_too_large_is_not_told() {
        let mut contact = contact();
        contact.fields.insert("plan".to_owned(), json!("x".repeat(70_000)));
        let event = apply(&set("fields.plan", json!("pro")), &mut contact).unwrap();
        assert_eq!(event.data, json!({"changes": {"fields": {"plan": {"from": null, "to": "pro"}}}}));
    }

    #[test]
    fn a_field_that_changes_tells_both_sides() {
        let mut contact = contact();
        let cases = [
            (set("email", json!("a@b.c")), Some(json!({"email": {"from": null, "to": "a@b.c"}}))),
            (set("email", json!("a@b.c")), None),
            (set("email", Value::Null), Some(json!({"email": {"from": "a@b.c", "to": null}}))),
            (set("score", json!(3)), Some(json!({"score": {"from": 0.0, "to": 3}}))),
            (set("score", json!("3")), None),
            (set("timezone", json!("Mars/Base")), None),
            (
                set("timezone", json!("Europe/Paris")),
                Some(json!({"timezone": {"from": null, "to": "Europe/Paris"}})),
            ),
            (
                set("fields.plan", json!("pro")),
                Some(json!({"fields": {"plan": {"from": null, "to": "pro"}}})),
            ),
            (set("fields.plan", json!("pro")), None),
            (set("fields.plan", Value::Null), Some(json!({"fields": {"plan": {"from": "pro", "to": null}}}))),
            (set("fields.plan", Value::Null), None),
            (set("fields.a.b", json!(1)), Some(json!({"fields": {"a.b": {"from": null, "to": 1}}}))),
            (set("subject", json!("x")), None),
            (set("phone", json!(5)), None),
            (set("phone", json!("5".repeat(513))), None),
        ];
        for (change, changes) in cases {
            let event = apply(&change, &mut contact);
            assert_eq!(event.map(|event| event.data), changes.map(|c| json!({"changes": c})), "{change:?}");
        }
    }
}
