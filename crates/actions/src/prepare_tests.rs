//! Tables of rendered configurations and what comes of them.

use crate::catalogue::find;
use automation_domain::action::{ContactUse, Literals, Prepared, StepContext};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::id::{ContactId, IdempotencyKey, RecordId, RunId};
use automation_domain::interpreter::StepError;
use automation_domain::record::RecordChange;
use automation_domain::record::stamps::{Applied, Stamp};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn run(action: &str, config: &Value, contact: Option<&Contact>) -> Result<Prepared, StepError> {
    let facts = Facts {
        event: None,
        contact,
        run: None,
        past: automation_domain::past::Past::Unknown,
        tenant: TenantFacts::new("acme", "UTC"),
        now: now(),
        budget: &Budget::default(),
    };
    let step = StepContext {
        facts,
        record_id: RecordId(Uuid::from_u128(7)),
        idempotency_key: IdempotencyKey(Uuid::from_u128(8)),
    };
    (find(action).unwrap().prepare)(config, &step)
}

fn prepared(action: &str, config: Value) -> (Value, Value) {
    let contact = Contact::new(ContactId(Uuid::from_u128(1)), "c-1");
    let prepared = run(action, &config, Some(&contact)).unwrap_or_else(|error| panic!("{config}: {error:?}"));
    let (mut changes, output) = changes(prepared);
    assert_eq!(changes.len(), 1);
    (serde_json::to_value(changes.remove(0)).unwrap(), output)
}

fn changes(prepared: Prepared) -> (Vec<RecordChange>, Value) {
    match prepared {
        Prepared::Changes { changes, output } => (changes, output),
        other @ (Prepared::Request(_) | Prepared::Directive { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn tags_are_text_without_outer_spaces() {
    let contact_id = Uuid::from_u128(1);
    for (tag, expected) in
        [(json!(" vip "), "vip"), (json!(7), "7"), (json!(17.0), "17"), (json!(true), "true")]
    {
        for (action, kind) in [("add_tag", "add_tag"), ("remove_tag", "remove_tag")] {
            let (change, output) = prepared(action, json!({ "tag": tag }));
            let inner = json!({ "kind": kind, "tag": expected });
            assert_eq!(change, json!({ "record": "contact", "contact_id": contact_id, "change": inner }));
            assert_eq!(output, json!({ "tag": expected }));
        }
    }
}

#[test]
fn fields_take_values_of_their_kind() {
    for (field, value, stored) in [
        ("email", json!("a@b.c"), json!("a@b.c")),
        ("phone", json!(4930123), json!("4930123")),
        ("phone", json!(4930123.0), json!("4930123")),
        ("score", json!(7.5), json!(7.5)),
        ("timezone", json!("Europe/Berlin"), json!("Europe/Berlin")),
        ("owner", Value::Null, Value::Null),
        ("fields.plan", json!({"name": "pro"}), json!({"name": "pro"})),
        ("fields.size", json!(3), json!(3)),
    ] {
        let (change, output) = prepared("update_field", json!({ "field": field, "value": value }));
        assert_eq!(change["change"], json!({ "kind": "set_field", "field": field, "value": stored }));
        assert_eq!(output, json!({ "field": field, "value": stored }));
    }
}

#[test]
fn task_carries_its_derived_id_and_is_due_after_now() {
    let config = json!({"title": "Call", "description": "soon", "due": "1d", "assignee": "ada"});
    let (change, output) = prepared("create_task", config);
    assert_eq!(change["task_id"], json!(Uuid::from_u128(7)));
    assert_eq!(change["contact_id"], json!(Uuid::from_u128(1)));
    assert_eq!(change["due_at"], json!(now() + chrono::TimeDelta::days(1)));
    assert_eq!((&change["title"], &change["assignee"]), (&json!("Call"), &json!("ada")));
    assert_eq!(output["task_id"], json!(Uuid::from_u128(7)));
    let (bare, _) = prepared("create_task", json!({"title": "Call", "description": "", "due": null}));
    assert_eq!((&bare["description"], &bare["due_at"]), (&Value::Null, &Value::Null));
}

#[test]
fn task_needs_no_contact() {
    let prepared = run("create_task", &json!({"title": "Call"}), None).unwrap();
    assert!(
        matches!(&changes(prepared).0[..], [RecordChange::CreateTask(task)] if task.contact_id.is_none())
    );
}

#[test]
fn note_carries_its_derived_id() {
    let (change, output) = prepared("add_note", json!({"text": "hello"}));
    assert_eq!((&change["text"], &change["note_id"]), (&json!("hello"), &output["note_id"]));
}

#[test]
fn unacceptable_configuration_is_refused_with_its_reason() {
    let contact = Contact::new(ContactId(Uuid::from_u128(1)), "c-1");
    let long = |length: usize| "é".repeat(length);
    for (action, config, reason) in [
        ("add_tag", json!({}), "tag is empty"),
        ("add_tag", json!({"tag": null}), "tag is empty"),
        ("add_tag", json!({"tag": "  "}), "tag is empty"),
        ("add_tag", json!({"tag": ["a"]}), "must be text"),
        ("add_tag", json!({"tag": "a\u{0}b"}), "U+0000"),
        ("remove_tag", json!({"tag": long(129)}), "129 characters; at most 128"),
        ("create_task", json!({"title": long(513)}), "at most 512"),
        ("create_task", json!({"title": "t", "due": "tomorrow"}), "not a duration"),
        ("create_task", json!({"title": "t", "due": "9999d"}), "at most 3660 days"),
        ("create_task", json!({"title": "t", "assignee": {}}), "assignee must be text"),
        ("add_note", json!({"text": long(40_000)}), "80000 bytes; at most 65536"),
        ("update_field", json!({"field": "email"}), "value is missing"),
        ("update_field", json!({"field": "emial", "value": "x"}), "did you mean \"email\""),
        ("update_field", json!({"field": "subject", "value": "x"}), "not a field"),
        ("update_field", json!({"field": "fields.a.b", "value": 1}), "not a field"),
        ("update_field", json!({"field": "score", "value": "high"}), "takes a number"),
        ("update_field", json!({"field": "email", "value": {}}), "takes a string"),
        ("update_field", json!({"field": "timezone", "value": "Mars/Base"}), "IANA"),
        ("update_field", json!({"field": "fields.x", "value": {"a": "\u{0}"}}), "U+0000"),
        ("update_field", json!({"field": "fields.x", "value": long(40_000)}), "at most 65536"),
    ] {
        let error = run(action, &config, Some(&contact)).expect_err(action);
        assert_eq!(error.code, "invalid_config");
        assert!(error.message.contains(reason), "{action}: {}", error.message);
    }
}

#[test]
fn steps_about_a_contact_need_one() {
    for (action, config) in [
        ("add_tag", json!({"tag": "a"})),
        ("remove_tag", json!({"tag": "a"})),
        ("update_field", json!({"field": "email", "value": "x"})),
        ("add_note", json!({"text": "x"})),
    ] {
        assert_eq!(run(action, &config, None).unwrap_err().code, "no_contact");
        assert_eq!(find(action).unwrap().contact, ContactUse::Needed);
    }
    assert_eq!(find("create_task").unwrap().contact, ContactUse::Optional);
}

#[test]
fn what_would_fail_every_run_is_known_before_the_first() {
    for (action, config, wrong) in [
        ("update_field", json!({"field": "emial", "value": "x"}), vec!["field"]),
        ("update_field", json!({"field": "emial"}), vec!["field"]),
        ("update_field", json!({"field": "timezone", "value": "Mars/Base"}), vec!["value"]),
        ("update_field", json!({"field": "score", "value": "high"}), vec!["value"]),
        ("update_field", json!({"field": "phone", "value": 123}), vec![]),
        ("update_field", json!({"field": "fields.plan", "value": {"a": 1}}), vec![]),
        // One of the two is a template: the other is checked as far as it goes.
        ("update_field", json!({"field": "score"}), vec![]),
        ("update_field", json!({"value": "high"}), vec![]),
        ("update_field", json!({"value": "x".repeat(70_000)}), vec!["value"]),
        ("create_task", json!({"due": "tomorrow"}), vec!["due"]),
        ("create_task", json!({"title": "t", "due": "1d", "assignee": "ada"}), vec![]),
        ("create_task", json!({"title": "t".repeat(513), "due": "9999d"}), vec!["title", "due"]),
        ("add_tag", json!({"tag": "t".repeat(200)}), vec!["tag"]),
        ("add_tag", json!({"tag": "t".repeat(128)}), vec![]),
        ("remove_tag", json!({"tag": " "}), vec!["tag"]),
        ("add_note", json!({"text": "t".repeat(70_000)}), vec!["text"]),
        ("add_note", json!({}), vec![]),
    ] {
        let found = (find(action).unwrap().check)(&Literals::of(config.as_object().unwrap()));
        let keys: Vec<&str> = found.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, wrong, "{action} {config}: {found:?}");
    }
}

#[test]
fn changes_cause_the_events_that_the_catalogue_names() {
    for (action, config, emitted) in [
        ("add_tag", json!({"tag": "new"}), Some("contact.tag_added")),
        ("remove_tag", json!({"tag": "old"}), Some("contact.tag_removed")),
        ("update_field", json!({"field": "email", "value": "a@b.c"}), Some("contact.updated")),
        ("create_task", json!({"title": "Call"}), Some("task.created")),
        ("add_note", json!({"text": "hello"}), None),
    ] {
        assert_eq!(find(action).unwrap().entry.emits.first().copied(), emitted, "{action}");
        let mut contact = Contact::new(ContactId(Uuid::from_u128(1)), "c-1");
        contact.tags = vec!["old".to_owned()];
        for change in changes(run(action, &config, Some(&contact)).unwrap()).0 {
            if let RecordChange::Contact { change, .. } = change {
                let stamp = Stamp::of_run(RunId(Uuid::nil()), DateTime::UNIX_EPOCH);
                let Applied::Changed(event) = change.apply(&mut contact, stamp) else { panic!("{action}") };
                assert_eq!(event.event_type, emitted.unwrap());
            }
        }
    }
}
