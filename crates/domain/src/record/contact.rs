//! Changes to contacts, and the events that follow.

use super::EmittedEvent;
use super::stamps::{Applied, Stamp};
use crate::contact::field::OWN;
use crate::contact::{Contact, field};
use crate::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One change to a contact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ContactChange {
    /// Adds a tag.
    AddTag {
        /// The tag.
        tag: String,
    },
    /// Removes a tag.
    RemoveTag {
        /// The tag.
        tag: String,
    },
    /// Sets a built-in field (`first_name`) or one of the tenant's own (`fields.plan`); null clears it.
    SetField {
        /// Path below `contact.`
        field: String,
        /// New value.
        value: Value,
    },
}

impl ContactChange {
    /// Applies the change, unless newer news is known of what it changes, and gives the event that it causes.
    pub fn apply(&self, contact: &mut Contact, stamp: Stamp) -> Applied<EmittedEvent> {
        apply(self, contact, stamp)
    }

    /// Bytes that it adds at most to what is kept.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::AddTag { tag } | Self::RemoveTag { tag } => tag.len(),
            Self::SetField { field, value } => field.len() + json::size_bytes(value),
        }
    }
}

fn apply(change: &ContactChange, contact: &mut Contact, stamp: Stamp) -> Applied<EmittedEvent> {
    let (event_type, data) = match change {
        ContactChange::AddTag { tag } => {
            ("contact.tag_added", contact.add_tag(tag, stamp).map(|()| json!({ "tag": tag })))
        }
        ContactChange::RemoveTag { tag } => {
            ("contact.tag_removed", contact.remove_tag(tag, stamp).map(|()| json!({ "tag": tag })))
        }
        ContactChange::SetField { field, value } => {
            let changes = |from| json!({ "changes": nested(field, told(from), value) });
            ("contact.updated", field::set(contact, field, value, stamp).map(changes))
        }
    };
    data.map(|data| EmittedEvent {
        event_type: event_type.to_owned(),
        subject: Some(contact.subject.clone()),
        data,
    })
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
    use crate::id::{ContactId, RunId};
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    fn contact() -> Contact {
        let mut contact = Contact::new(ContactId(Uuid::nil()), "c-1");
        contact.tags = vec!["b".to_owned(), "d".to_owned()];
        contact
    }

    /// What the next step of one run causes.
    fn apply(change: &ContactChange, contact: &mut Contact) -> Option<EmittedEvent> {
        match super::apply(change, contact, Stamp::of_run(RunId(Uuid::nil()), DateTime::UNIX_EPOCH)) {
            Applied::Changed(event) => Some(event),
            Applied::Confirmed | Applied::Nothing => None,
        }
    }

    #[test]
    fn what_is_older_than_what_stands_there_changes_nothing() {
        let mut contact = contact();
        let run =
            |seconds| Stamp::of_run(RunId(Uuid::nil()), DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds));
        let tag = "b".to_owned();
        let remove = ContactChange::RemoveTag { tag: tag.clone() };
        assert!(matches!(remove.apply(&mut contact, run(2)), Applied::Changed(_)));
        assert_eq!(ContactChange::AddTag { tag }.apply(&mut contact, run(1)), Applied::Nothing);
        assert_eq!(contact.tags, ["d"]);
        // It says what is so already: that is kept, and no news to anybody.
        assert_eq!(remove.apply(&mut contact, run(3)), Applied::Confirmed);
        assert_eq!(set("phone", json!(5)).apply(&mut contact, run(4)), Applied::Nothing);
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
