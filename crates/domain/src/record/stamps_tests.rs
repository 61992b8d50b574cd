use super::*;
use crate::contact::Contact;
use crate::contact::from_event::ContactUpdate;
use crate::id::ContactId;
use proptest::prelude::*;
use serde_json::Value;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(20_000) + Duration::seconds(seconds)
}

fn stamp(seconds: i64, key: u128) -> Stamp {
    Stamp { at: at(seconds), key: Uuid::from_u128(key), of: Of::Event }
}

/// What an event says: of few parts, so that many events say something of the same.
fn update() -> impl Strategy<Value = ContactUpdate> {
    let field = prop::sample::select(vec!["email", "phone", "score", "fields.plan", "fields.size"]);
    let value = |field: &str, number: u8| match (field, number) {
        (_, 0) => Value::Null,
        ("score", number) => Value::from(number),
        (_, number) => Value::from(format!("{number}")),
    };
    let set = prop::collection::btree_map(field, 0_u8..4, 0..4).prop_map(move |set| {
        set.into_iter().map(|(field, number)| (field.to_owned(), value(field, number))).collect()
    });
    let tags = || prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..2);
    let owned = |tags: Vec<&str>| tags.into_iter().map(str::to_owned).collect::<Vec<_>>();
    (set, tags(), tags(), tags()).prop_map(move |(set, added, removed, segments)| ContactUpdate {
        set,
        // An event says one thing of a tag.
        remove_tags: owned(removed.into_iter().filter(|tag| !added.contains(tag)).collect()),
        add_tags: owned(added),
        add_segments: owned(segments),
        score: None,
    })
}

/// Events by their place in time: several at the same time, each with a key of its own.
fn events() -> impl Strategy<Value = Vec<(Stamp, ContactUpdate)>> {
    prop::collection::vec((0_i64..5, update()), 1..12).prop_map(|events| {
        let numbered = events.into_iter().zip(1_u128..);
        numbered.map(|((seconds, update), key)| (stamp(seconds, key), update)).collect()
    })
}

fn after<'e>(events: impl IntoIterator<Item = &'e (Stamp, ContactUpdate)>) -> Contact {
    let mut contact = Contact::new(ContactId(Uuid::nil()), "c-1");
    contact.tags = vec!["a".to_owned(), "old".to_owned()];
    contact.email = Some("before@all".to_owned());
    for (stamp, update) in events {
        update.apply(&mut contact, *stamp);
        // As if each came with a batch of its own.
        contact.set_by = Stamps::from_bytes(&contact.set_by.to_bytes(at(5))).unwrap();
    }
    contact
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_give_the_same_record(
        (events, again) in events().prop_flat_map(|events| {
            let again = prop::collection::vec(0..events.len(), 0..12);
            (Just(events), again)
        }),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut in_order = events.clone();
        in_order.sort_by_key(|(stamp, _)| *stamp);
        // All of them, turned round, with some that come again.
        let mut arriving: Vec<_> = again.iter().map(|index| &events[*index]).chain(&events).collect();
        let turn = turn.index(arriving.len());
        arriving.rotate_left(turn);
        let repeated: Vec<_> = arriving.iter().rev().chain(&arriving).copied().collect();
        prop_assert_eq!(after(repeated), after(&in_order));
        prop_assert_eq!(after(arriving), after(&in_order));
    }

    #[test]
    fn what_stands_is_what_the_newest_event_said(events in events()) {
        let contact = after(&events);
        for tag in ["a", "b", "c", "old"] {
            let says = |update: &ContactUpdate| {
                let (added, removed) = (&update.add_tags, &update.remove_tags);
                let named = |tags: &[String]| tags.iter().any(|named| named == tag);
                named(added).then_some(true).or(named(removed).then_some(false))
            };
            let newest = events.iter().filter_map(|(stamp, update)| Some((stamp, says(update)?))).max();
            let expected = newest.map_or(matches!(tag, "a" | "old"), |(_, is_there)| is_there);
            prop_assert_eq!(contact.tags.iter().any(|there| there == tag), expected, "{}", tag);
        }
    }

    #[test]
    fn what_is_stored_is_read_again(events in events()) {
        let stamps = after(&events).set_by;
        let bytes = stamps.to_bytes(at(5));
        prop_assert_eq!(Stamps::from_bytes(&bytes), Ok(stamps));
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Stamps::from_bytes(&bytes);
        let _ = Stamps::from_bytes(&[&[1_u8][..], &bytes].concat());
    }
}

#[test]
fn the_greater_key_wins_at_equal_times() {
    let mut contact = Contact::new(ContactId(Uuid::nil()), "c-1");
    for (key, phone, stands) in [(2, "two", "two"), (1, "one", "two"), (3, "three", "three")] {
        let set = [("phone".to_owned(), Value::from(phone))].into();
        ContactUpdate { set, ..ContactUpdate::default() }.apply(&mut contact, stamp(0, key));
        assert_eq!(contact.phone.as_deref(), Some(stands));
    }
}

#[test]
fn a_time_far_ahead_counts_as_receipt() {
    let event = |time| Event {
        key: EventKey(Uuid::nil()),
        id: String::new(),
        source: "crm".to_owned(),
        event_type: "contact.updated".to_owned(),
        tenant: "acme".to_owned(),
        time,
        subject: None,
        correlation_id: None,
        causation_id: None,
        causation_depth: 0,
        traceparent: None,
        tracestate: None,
        data: Value::Null,
        body_hash: [0; 32],
    };
    for (ahead, expected) in [(-1_000_000, -1_000_000), (0, 0), (300, 300), (301, 0), (1_000_000, 0)] {
        assert_eq!(Stamp::of_event(&event(at(ahead)), at(0)).at, at(expected), "{ahead}");
    }
    // No more exact than it is stored: else the same event would be newer than itself.
    let exact = at(0) + Duration::nanoseconds(1_999);
    assert_eq!(Stamp::of_event(&event(exact), at(0)).at, at(0) + Duration::microseconds(1));
}

#[test]
fn what_is_gone_is_remembered_for_a_time_and_in_bounds() {
    let removed = |count: usize| {
        let mut contact = Contact::new(ContactId(Uuid::nil()), "c-1");
        for number in 0..count {
            let seconds = i64::try_from(number).unwrap();
            contact.remove_tag(&format!("t{number}"), stamp(seconds, 1));
        }
        contact.add_tag("here", stamp(0, 1));
        contact.set_by
    };
    let kept = |stamps: &Stamps, now| Stamps::from_bytes(&stamps.to_bytes(now)).unwrap();
    let many = kept(&removed(200), at(200));
    assert_eq!(many.parts.len(), MOST_REMEMBERED + 1);
    assert!(many.get("tags.t199").is_some() && many.get("tags.t136").is_some());
    assert!(many.get("tags.t135").is_none() && many.get("tags.here").is_some());
    // It counts from when the news came, however old it was.
    let day = 24 * 60 * 60;
    let stored = kept(&removed(1), at(1_000 * day));
    assert!(kept(&stored, at(1_007 * day)).get("tags.t0").is_some());
    let later = kept(&stored, at(1_008 * day));
    assert!(later.get("tags.t0").is_none() && later.get("tags.here").is_some());
    // One event that takes away more than are remembered is bounded too.
    let mut at_once = Stamps::default();
    for number in 0..200 {
        at_once.take(format!("fields.f{number}"), stamp(0, 1), Presence::Gone, || Some(()));
    }
    assert_eq!(kept(&at_once, at(0)).parts.len(), MOST_REMEMBERED);
}

#[test]
fn what_one_event_sets_has_one_stamp() {
    let mut contact = Contact::new(ContactId(Uuid::nil()), "c-1");
    assert_eq!(contact.set_by.to_bytes(at(0)), b"");
    let update = ContactUpdate {
        set: [("email".to_owned(), "a@b.c".into()), ("first_name".to_owned(), "Ada".into())].into(),
        add_tags: vec!["new".to_owned()],
        ..ContactUpdate::default()
    };
    update.apply(&mut contact, stamp(0, 1));
    // The form and two counts, the stamp, and for each part its number, its length and its name.
    let names = "email".len() + "first_name".len() + "tags.new".len();
    assert_eq!(contact.set_by.to_bytes(at(0)).len(), 2 + 25 + 3 * 2 + names);
}

#[test]
fn people_see_what_set_a_part_and_when() {
    let mut stamps = Stamps::default();
    stamps.take("email".to_owned(), stamp(1, 7), Presence::There, || Some(()));
    let run = RunId(Uuid::from_u128(9));
    stamps.take("tags.old".to_owned(), Stamp::of_run(run, at(2)), Presence::Gone, || Some(()));
    assert_eq!(
        serde_json::to_value(&stamps).unwrap(),
        json!({
            "email": { "at": "2024-10-04T00:00:01Z", "event_key": "00000000-0000-0000-0000-000000000007" },
            "tags.old": { "at": "2024-10-04T00:00:02Z", "run_id": "00000000-0000-0000-0000-000000000009", "gone": true },
        })
    );
}
