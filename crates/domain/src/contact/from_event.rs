//! What an event from outside says about a contact.

use super::{Contact, field};
use crate::event::Event;
use crate::path::is_name;
use crate::problem::{Problem, nearest_hint};
use crate::record::stamps::Stamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The types that change a contact.
const TYPES: [&str; 6] = [
    "contact.created",
    "contact.updated",
    "contact.tag_added",
    "contact.tag_removed",
    "contact.score_changed",
    "contact.segment_entered",
];

/// Most of what is passed over that is told of one event.
const MOST_PASSED_OVER: usize = 50;

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

/// Whether events of this type say something of the contact, so that conditions of waiting runs are to be asked again.
pub fn says_of_contact(event_type: &str) -> bool {
    event_type.starts_with("contact.")
}

/// What `event` says about the contact it is about; `None` when it says nothing.
///
/// Only the six `contact.…` types say something, only with a subject, and never those that the engine published: its own
/// changes are in the record already. A value of the wrong type is passed over, the rest of the event is not.
pub fn update_from(event: &Event) -> Option<ContactUpdate> {
    if event.is_from_engine() || event.subject.is_none() {
        return None;
    }
    let mut reader = Reader { update: ContactUpdate::default(), passed_over: None };
    reader.read(event);
    (reader.update != ContactUpdate::default()).then_some(reader.update)
}

/// What of `event` changes its contact in no way, or in another than was meant perhaps, for a person: nothing is dropped
/// unseen. Empty for events that never change one.
pub fn passed_over(event: &Event) -> Vec<Problem> {
    let mut reader = Reader { update: ContactUpdate::default(), passed_over: Some(Vec::new()) };
    if event.is_from_engine() || !TYPES.contains(&event.event_type.as_str()) {
        return Vec::new();
    }
    if event.subject.is_none() {
        reader.pass_over("subject", || {
            "without a subject the event is about no contact, and changes none".to_owned()
        });
    }
    reader.read(event);
    reader.passed_over.unwrap_or_default()
}

impl ContactUpdate {
    /// Writes the update into `contact`, as far as no newer news is known; returns whether the contact is to be written.
    pub fn apply(&self, contact: &mut Contact, stamp: Stamp) -> bool {
        let mut written = false;
        for (name, value) in &self.set {
            written |= field::set(contact, name, value, stamp).is_to_be_written();
        }
        if let Some(score) = self.score {
            written |= field::set(contact, "score", &Value::from(score), stamp).is_to_be_written();
        }
        for tag in &self.add_tags {
            written |= contact.add_tag(tag, stamp).is_to_be_written();
        }
        for tag in &self.remove_tags {
            written |= contact.remove_tag(tag, stamp).is_to_be_written();
        }
        for segment in &self.add_segments {
            written |= contact.enter_segment(segment, stamp).is_to_be_written();
        }
        written
    }
}

/// Reads an event, and keeps word of what it passes over where somebody wants to know.
struct Reader {
    update: ContactUpdate,
    passed_over: Option<Vec<Problem>>,
}

impl Reader {
    fn read(&mut self, event: &Event) {
        let Some(data) = event.data.as_object() else { return };
        match event.event_type.as_str() {
            "contact.created" => self.created(data),
            "contact.updated" => self.updated(data),
            "contact.tag_added" => self.update.add_tags = self.word(data, "tag"),
            "contact.tag_removed" => self.update.remove_tags = self.word(data, "tag"),
            "contact.score_changed" => self.score(data.get("to")),
            "contact.segment_entered" => self.update.add_segments = self.word(data, "segment_id"),
            _ => {}
        }
    }

    fn pass_over(&mut self, path: &str, why: impl FnOnce() -> String) {
        if let Some(passed_over) = self.passed_over.as_mut().filter(|all| all.len() < MOST_PASSED_OVER) {
            passed_over.push(Problem::new("passed_over", path, why()));
        }
    }

    /// Fields stand in the payload under their own names; null means unknown, not cleared. The contact's `source` has no
    /// column of its own and is kept as `fields.source`.
    fn created(&mut self, data: &Map<String, Value>) {
        for (name, value) in data {
            match name.as_str() {
                "email" | "phone" | "first_name" | "last_name" | "timezone" => {
                    self.set_known(name, &member("data", name), value);
                }
                "source" if value.is_string() || value.is_null() => {
                    self.set_known("fields.source", "data.source", value);
                }
                "source" => self.pass_over("data.source", || "source takes a string".to_owned()),
                "fields" => {
                    for (own, value) in self.object("data.fields", value) {
                        self.set_known(&format!("fields.{own}"), &member("data.fields", own), value);
                    }
                }
                "tags" => self.tags(value),
                other => self.pass_over(&member("data", other), || {
                    format!(
                        "\"{other}\" is no field of a new contact; a field of your own stands under fields"
                    )
                }),
            }
        }
    }

    fn tags(&mut self, value: &Value) {
        let Value::Array(tags) = value else {
            if !value.is_null() {
                self.pass_over("data.tags", || "tags is a list of words".to_owned());
            }
            return;
        };
        for (index, tag) in tags.iter().enumerate() {
            match tag.as_str().filter(|tag| !tag.is_empty()) {
                Some(tag) => self.update.add_tags.push(tag.to_owned()),
                None => self.pass_over(&format!("data.tags[{index}]"), || "a tag is a word".to_owned()),
            }
        }
    }

    /// `changes.<field>.to`; the tenant's own fields stand in `changes.fields.<name>`, `changes["fields.<name>"]` or,
    /// when the name is free, `changes.<name>`.
    fn updated(&mut self, data: &Map<String, Value>) {
        for name in data.keys().filter(|name| *name == "fields" || field::BUILT_IN.contains(&name.as_str())) {
            self.pass_over(&member("data", name), || "only what stands in changes is changed".to_owned());
        }
        let Some(changes) = data.get("changes") else {
            return self.pass_over("data.changes", || "changes is missing".to_owned());
        };
        for (name, change) in self.object("data.changes", changes) {
            let path = member("data.changes", name);
            match name.as_str() {
                "fields" => {
                    for (own, change) in self.object(&path, change) {
                        self.set_changed(&format!("fields.{own}"), &member(&path, own), change);
                    }
                }
                "tags" | "segments" | "consent" | "id" | "contact_id" | "subject" => self
                    .pass_over(&path, || {
                        format!("{name} is not changed by contact.updated, and is no field of your own")
                    }),
                built_in if field::BUILT_IN.contains(&built_in) => self.set_changed(built_in, &path, change),
                own if own.starts_with("fields.") => self.set_changed(own, &path, change),
                free => {
                    let hint = nearest_hint(free, field::BUILT_IN);
                    if !hint.is_empty() {
                        self.pass_over(&path, || format!("it sets the field of your own \"{free}\"{hint}"));
                    }
                    self.set_changed(&format!("fields.{free}"), &path, change);
                }
            }
        }
    }

    fn score(&mut self, to: Option<&Value>) {
        match to.map(|to| field::check("score", to)) {
            Some(Ok(())) => self.update.score = to.and_then(Value::as_f64),
            Some(Err(why)) => self.pass_over("data.to", || why),
            None => self.pass_over("data.to", || "to is missing".to_owned()),
        }
    }

    fn word(&mut self, data: &Map<String, Value>, name: &str) -> Vec<String> {
        let word = data.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
        if word.is_none() {
            self.pass_over(&member("data", name), || format!("{name} is a word, and not empty"));
        }
        word.map(str::to_owned).into_iter().collect()
    }

    fn object<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
    ) -> impl Iterator<Item = (&'v String, &'v Value)> + use<'v> {
        if !value.is_object() && !value.is_null() {
            self.pass_over(path, || "it is not an object of fields".to_owned());
        }
        value.as_object().into_iter().flatten()
    }

    fn set_known(&mut self, name: &str, path: &str, value: &Value) {
        if !value.is_null() {
            self.set(name, path, value);
        }
    }

    fn set_changed(&mut self, name: &str, path: &str, change: &Value) {
        match change.get("to") {
            Some(to) => self.set(name, path, to),
            None => self.pass_over(path, || {
                "what the field becomes stands in its member to, which is missing".to_owned()
            }),
        }
    }

    fn set(&mut self, name: &str, path: &str, value: &Value) {
        match field::check(name, value) {
            Ok(()) => drop(self.update.set.insert(name.to_owned(), value.clone())),
            Err(why) => self.pass_over(path, || why),
        }
    }
}

/// The path of a member.
fn member(parent: &str, name: &str) -> String {
    if is_name(name) { format!("{parent}.{name}") } else { format!("{parent}[{}]", Value::from(name)) }
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
        let event = event(event_type, data);
        let update = update_from(&event).expect("an update");
        let stamp = Stamp::of_event(&event, event.time);
        let mut contact = contact();
        contact.tags = vec!["old".to_owned()];
        assert!(update.apply(&mut contact, stamp));
        let once = contact.clone();
        assert!(!update.apply(&mut contact, stamp), "applying twice is the same as once");
        assert_eq!(contact, once);
        contact
    }

    #[test]
    fn created_sets_what_is_well_formed_and_ignores_the_rest() {
        let contact = after(
            "contact.created",
            json!({
                "email": 7, "phone": "+49", "first_name": "Ada", "last_name": null, "timezone": "Mars/Base",
                "source": "import", "tags": ["b", "a", 3, "b"], "fields": {"plan": "pro", "a.b": 1, "n": null, " x": 2},
            }),
        );
        assert_eq!((contact.email, contact.phone, contact.last_name), (None, Some("+49".to_owned()), None));
        assert_eq!((contact.first_name.as_deref(), contact.timezone), (Some("Ada"), None));
        assert_eq!(contact.tags, ["a", "b", "old"]);
        assert_eq!(Value::Object(contact.fields), json!({"plan": "pro", "a.b": 1, "source": "import"}));
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
    fn a_name_of_an_own_field_is_any_text_of_a_line() {
        let names = ["größe", "Zweite Größe", "a.b", "größe_2-x", "名前", "it's \"so\"", &"ü".repeat(64)];
        let all: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
        let changes: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!({"to": 1}))).collect();
        assert_eq!(after("contact.created", json!({"fields": all})).fields, all);
        assert_eq!(after("contact.updated", json!({"changes": {"fields": changes}})).fields, all);
        assert_eq!(after("contact.updated", json!({"changes": changes})).fields, all);
    }

    #[test]
    fn nothing_is_dropped_unseen() {
        let long = "ü".repeat(65);
        let told = |event_type: &str, data: Value| -> Vec<String> {
            passed_over(&event(event_type, data)).iter().map(ToString::to_string).collect()
        };
        let created = json!({
            "email": 7, "timezone": "Mars/Base", "source": 1, "company": "x", "tags": ["ok", 3, ""],
            "fields": {"ok": 1, " blank": 1, "": 1, "line\nbreak": 1, long: 1}, "last_name": null,
        });
        let updated = json!({"email": "a@b.c", "changes": {
            "first_name": {"to": 3}, "phone": "no change object", "tags": {"to": ["z"]}, "frist_name": {"to": "Ada"},
            "fields": {"": {"to": 1}, "größe": {"to": 1}}, "score": {"to": 9_007_199_254_740_993_u64},
        }});
        let mut all = told("contact.created", created);
        all.extend(told("contact.updated", updated));
        all.extend(told("contact.updated", json!({})));
        all.extend(told("contact.tag_added", json!({"tag": 5})));
        all.extend(told("contact.score_changed", json!({"to": "high"})));
        insta::assert_snapshot!(all.join("\n"), @r#"
        data.company: "company" is no field of a new contact; a field of your own stands under fields [passed_over]
        data.email: email takes a string [passed_over]
        data.fields[""]: this is not a field: the name of one of your own has 1 to 64 characters, no control characters, and no white space at its ends [passed_over]
        data.fields[" blank"]: this is not a field: the name of one of your own has 1 to 64 characters, no control characters, and no white space at its ends [passed_over]
        data.fields["line\nbreak"]: this is not a field: the name of one of your own has 1 to 64 characters, no control characters, and no white space at its ends [passed_over]
        data.fields.üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü: this is not a field: the name of one of your own has 1 to 64 characters, no control characters, and no white space at its ends [passed_over]
        data.source: source takes a string [passed_over]
        data.tags[1]: a tag is a word [passed_over]
        data.tags[2]: a tag is a word [passed_over]
        data.timezone: "Mars/Base" is not an IANA time zone [passed_over]
        data.email: only what stands in changes is changed [passed_over]
        data.changes.fields[""]: this is not a field: the name of one of your own has 1 to 64 characters, no control characters, and no white space at its ends [passed_over]
        data.changes.first_name: first_name takes a string [passed_over]
        data.changes.frist_name: it sets the field of your own "frist_name" (did you mean "first_name"?) [passed_over]
        data.changes.phone: what the field becomes stands in its member to, which is missing [passed_over]
        data.changes.score: score takes a number that a double keeps exactly [passed_over]
        data.changes.tags: tags is not changed by contact.updated, and is no field of your own [passed_over]
        data.changes: changes is missing [passed_over]
        data.tag: tag is a word, and not empty [passed_over]
        data.to: score takes a number [passed_over]
        "#);
        assert_eq!(told("order.created", json!({"email": 1})), Vec::<String>::new());
        let nobody = Event { subject: None, ..event("contact.tag_added", json!({"tag": "x"})) };
        assert_eq!(passed_over(&nobody)[0].path, "subject");
        let many: Map<String, Value> = (0..100).map(|n| (format!(" {n}"), json!(1))).collect();
        assert_eq!(told("contact.created", json!({"fields": many})).len(), MOST_PASSED_OVER);
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
