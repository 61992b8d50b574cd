//! What an event from outside says about a contact.

use super::{Contact, field};
use crate::event::Event;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is to be written into a contact; applying it twice is the same as once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ContactUpdate {
    /// New values by field: built-in (`email`) or the tenant's own (`fields.plan`); null clears.
    pub set: BTreeMap<String, Value>,
    /// Tags the contact gets.
    pub add_tags: Vec<String>,
    /// Tags the contact loses.
    pub remove_tags: Vec<String>,
    /// Segments the contact enters.
    pub add_segments: Vec<String>,
    /// New score.
    pub score: Option<f64>,
}

/// What `event` says about the contact it is about; `None` when it says nothing.
///
/// Only the six `contact.…` types say something, only with a subject, and never those that the engine published: its own
/// changes are in the record already. A value of the wrong type is ignored, the rest of the event is not.
pub fn update_from(event: &Event) -> Option<ContactUpdate> {
    if event.is_from_engine() || event.subject.is_none() {
        return None;
    }
    let data = event.data.as_object()?;
    let mut update = ContactUpdate::default();
    match event.event_type.as_str() {
        "contact.created" => update.read_created(data),
        "contact.updated" => update.read_changes(data.get("changes")?.as_object()?),
        "contact.tag_added" => update.add_tags.extend(word(data, "tag")),
        "contact.tag_removed" => update.remove_tags.extend(word(data, "tag")),
        "contact.score_changed" => update.score = data.get("to").and_then(Value::as_f64),
        "contact.segment_entered" => update.add_segments.extend(word(data, "segment_id")),
        _ => return None,
    }
    (update != ContactUpdate::default()).then_some(update)
}

impl ContactUpdate {
    /// Writes the update into `contact`; returns whether anything changed.
    pub fn apply(&self, contact: &mut Contact) -> bool {
        let mut changed = false;
        for (name, value) in &self.set {
            changed |= field::replace(contact, name, value).is_some();
        }
        if let Some(score) = self.score {
            changed |= field::replace(contact, "score", &Value::from(score)).is_some();
        }
        for tag in &self.add_tags {
            changed |= super::insert_sorted(&mut contact.tags, tag);
        }
        for tag in &self.remove_tags {
            changed |= super::remove_sorted(&mut contact.tags, tag);
        }
        for segment in &self.add_segments {
            changed |= super::insert_sorted(&mut contact.segments, segment);
        }
        changed
    }

    /// Fields stand in the payload under their own names; null means unknown, not cleared. The contact's `source` has no
    /// column of its own and is kept as `fields.source`.
    fn read_created(&mut self, data: &Map<String, Value>) {
        for name in ["email", "phone", "first_name", "last_name", "timezone"] {
            self.set_known(name, data.get(name));
        }
        self.set_known("fields.source", data.get("source").filter(|source| source.is_string()));
        for (name, value) in data.get("fields").and_then(Value::as_object).into_iter().flatten() {
            self.set_known(&format!("fields.{name}"), Some(value));
        }
        let tags = data.get("tags").and_then(Value::as_array).into_iter().flatten();
        self.add_tags.extend(tags.filter_map(Value::as_str).filter(|tag| !tag.is_empty()).map(str::to_owned));
    }

    /// `changes.<field>.to`; the tenant's own fields stand in `changes.fields.<name>`, `changes["fields.<name>"]` or,
    /// when the name is free, `changes.<name>`.
    fn read_changes(&mut self, changes: &Map<String, Value>) {
        for (name, change) in changes {
            match name.as_str() {
                "fields" => {
                    for (own, change) in change.as_object().into_iter().flatten() {
                        self.set_changed(&format!("fields.{own}"), change);
                    }
                }
                "tags" | "segments" | "consent" | "id" | "contact_id" | "subject" => {}
                built_in if field::BUILT_IN.contains(&built_in) => self.set_changed(built_in, change),
                own if own.starts_with("fields.") => self.set_changed(own, change),
                free => self.set_changed(&format!("fields.{free}"), change),
            }
        }
    }

    fn set_known(&mut self, name: &str, value: Option<&Value>) {
        if let Some(value) = value.filter(|value| !value.is_null() && field::check(name, value).is_ok()) {
            self.set.insert(name.to_owned(), value.clone());
        }
    }

    fn set_changed(&mut self, name: &str, change: &Value) {
        if let Some(to) = change.get("to").filter(|to| field::check(name, to).is_ok()) {
            self.set.insert(name.to_owned(), to.clone());
        }
    }
}

fn word(data: &Map<String, Value>, name: &str) -> Option<String> {
    data.get(name).and_then(Value::as_str).filter(|word| !word.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::envelope::{Envelope, read};
    use crate::id::{ContactId, TenantId};
    use crate::limits::Limits;
    use serde_json::json;
    use uuid::Uuid;

    fn event(event_type: &str, data: Value) -> Event {
        let body = json!({
            "specversion": "1.0", "id": "1", "source": "crm", "type": event_type, "subject": "c-1",
            "time": "2026-01-01T00:00:00Z", "tenantid": "acme", "data": data,
        })
        .to_string();
        let envelope = Envelope { routing_key: event_type, body: body.as_bytes(), ..Envelope::default() };
        read(&envelope, &Limits::default()).unwrap().remove(0).outcome.unwrap()
    }

    fn contact() -> Contact {
        Contact::new(ContactId::derive(TenantId(Uuid::nil()), "c-1"), "c-1")
    }

    fn after(event_type: &str, data: Value) -> Contact {
        let update = update_from(&event(event_type, data)).expect("an update");
        let mut contact = contact();
        contact.tags = vec!["old".to_owned()];
        assert!(update.apply(&mut contact));
        let once = contact.clone();
        assert!(!update.apply(&mut contact), "applying twice is the same as once");
        assert_eq!(contact, once);
        contact
    }

    #[test]
    fn created_sets_what_is_well_formed_and_ignores_the_rest() {
        let contact = after(
            "contact.created",
            json!({
                "email": 7, "phone": "+49", "first_name": "Ada", "last_name": null, "timezone": "Mars/Base",
                "source": "import", "tags": ["b", "a", 3, "b"], "fields": {"plan": "pro", "a.b": 1, "n": null},
            }),
        );
        assert_eq!((contact.email, contact.phone, contact.last_name), (None, Some("+49".to_owned()), None));
        assert_eq!((contact.first_name.as_deref(), contact.timezone), (Some("Ada"), None));
        assert_eq!(contact.tags, ["a", "b", "old"]);
        assert_eq!(Value::Object(contact.fields), json!({"plan": "pro", "source": "import"}));
    }

    #[test]
    fn text_that_is_longer_than_its_field_is_ignored() {
        let long = "ü".repeat(320);
        let contact =
            after("contact.created", json!({"email": long, "first_name": "ü".repeat(513), "phone": long}));
        assert_eq!((contact.email.as_ref(), contact.first_name), (Some(&long), None));
        let longer = json!({"changes": {"email": {"to": "ü".repeat(321)}, "phone": {"to": "1"}}});
        assert_eq!(after("contact.updated", longer).email, None);
    }

    #[test]
    fn updated_takes_the_new_side_of_each_change() {
        let contact = after(
            "contact.updated",
            json!({"changes": {
                "email": {"from": null, "to": "a@b.c"}, "timezone": {"to": "Europe/Berlin"}, "score": {"to": 5},
                "first_name": {"to": 3}, "fields": {"plan": {"to": "pro"}}, "fields.size": {"to": 2},
                "company": {"from": "x", "to": "y"}, "tags": {"to": ["z"]}, "phone": "no change object",
            }}),
        );
        assert_eq!(contact.email.as_deref(), Some("a@b.c"));
        assert_eq!((contact.timezone.as_deref(), contact.score), (Some("Europe/Berlin"), 5.0));
        assert_eq!((contact.first_name, contact.phone), (None, None));
        assert_eq!(Value::Object(contact.fields), json!({"plan": "pro", "size": 2, "company": "y"}));
        assert_eq!(contact.tags, ["old"]);
    }

    #[test]
    fn tags_scores_and_segments_follow_their_events() {
        assert_eq!(after("contact.tag_added", json!({"tag": "new"})).tags, ["new", "old"]);
        assert!(after("contact.tag_removed", json!({"tag": "old"})).tags.is_empty());
        assert_eq!(after("contact.score_changed", json!({"from": 1, "to": 2.5})).score, 2.5);
        assert_eq!(after("contact.segment_entered", json!({"segment_id": "vip"})).segments, ["vip"]);
    }

    #[test]
    fn events_that_say_nothing_give_no_update() {
        let from_engine =
            Event { source: "automation".to_owned(), ..event("contact.tag_added", json!({"tag": "x"})) };
        assert_eq!(update_from(&from_engine), None);
        let nobody = Event { subject: None, ..event("contact.tag_added", json!({"tag": "x"})) };
        assert_eq!(update_from(&nobody), None);
        for (event_type, data) in [
            ("order.created", json!({"email": "a@b.c"})),
            ("contact.created", json!({"email": 1})),
            ("contact.updated", json!({})),
            ("contact.tag_added", json!({"tag": 5})),
            ("contact.score_changed", json!({"to": "high"})),
        ] {
            assert_eq!(update_from(&event(event_type, data)), None, "{event_type}");
        }
    }
}
