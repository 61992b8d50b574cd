//! Runs that wait for events and conditions, as whoever keeps runs plays them: an event is recorded and told to whom it concerns,
//! a run that begins to wait looks back at what was recorded.

mod branches;
mod counted;
mod exits;
mod play;

use play::{Play, at};
use serde_json::{Value, json};

/// A wait behind the trigger `asked`, with an end for each of these ways.
fn waits(with: &str, ways: &[&str]) -> Play {
    let edges: String =
        ways.iter().map(|way| format!("\n  - {{ from: wait, case: {way}, to: end-{way} }}")).collect();
    let ends: String = ways
        .iter()
        .map(|way| format!("\n  - {{ id: end-{way}, action: add_tag, with: {{ tag: {way} }} }}"))
        .collect();
    Play::of(&format!(
        "apiVersion: automation/v1
key: waits
triggers: [{{ id: asked, event: form.submitted }}]
nodes:
  - {{ id: wait, action: wait_until, with: {with} }}{ends}
edges:
  - [asked, wait]{edges}
"
    ))
}

const CLICKED: &str = "{ any: [ { name: clicked, event: email.clicked } ], timeout: 1m }";

fn clicked() -> Play {
    waits(CLICKED, &["clicked", "timeout"])
}

#[test]
fn an_event_before_with_or_after_the_beginning_of_its_wait_is_found_once() {
    for (name, arrives) in [("before", -1), ("with", 0), ("after", 1)] {
        let mut play = clicked();
        if arrives <= 0 {
            // Taken in before the trigger's event, or with it, although it happened a second later.
            play.record("email.clicked", at(1), json!({}));
        }
        play.start(at(0));
        if arrives > 0 {
            assert_eq!(play.case("wait"), None);
            play.event("email.clicked", at(1), json!({}));
        }
        assert_eq!(play.case("wait"), Some("clicked"), "{name}");
        assert_eq!(play.tags(), ["clicked"], "{name}");
        assert_eq!(play.last("wait")["looked_back"], json!(arrives <= 0), "{name}");
    }
}

#[test]
fn without_an_event_the_timeout_is_taken_when_its_time_has_come() {
    let mut play = clicked();
    play.start(at(0));
    play.clock(at(59));
    assert_eq!(play.case("wait"), None);
    play.clock(at(60));
    assert_eq!((play.case("wait"), play.tags()), (Some("timeout"), vec!["timeout"]));
    play.event("email.clicked", at(61), json!({}));
    assert_eq!(play.tags(), ["timeout"], "what comes later moves nothing");
}

#[test]
fn of_an_event_and_a_timeout_in_one_instant_the_event_is_taken() {
    let mut play = clicked();
    play.start(at(0));
    play.event("email.clicked", at(60), json!({}));
    assert_eq!(play.case("wait"), Some("clicked"));
}

#[test]
fn an_event_from_after_the_timeout_is_too_late_also_when_the_run_was_looked_at_late() {
    let mut play = clicked();
    play.start(at(0));
    play.record("email.clicked", at(61), json!({}));
    play.set_clock(at(300));
    play.tell_last();
    play.clock(at(300));
    assert_eq!(play.case("wait"), Some("timeout"));
}

#[test]
fn the_event_that_started_the_run_is_never_what_it_waits_for() {
    let with = "{ any: [ { name: again, event: form.submitted } ], timeout: 1h, look_back: 7d }";
    let mut play = waits(with, &["again", "timeout"]);
    play.start(at(0));
    assert_eq!(play.case("wait"), None);
    play.event("form.submitted", at(5), json!({}));
    assert_eq!(play.case("wait"), Some("again"));
}

#[test]
fn a_wait_looks_back_to_the_event_that_started_the_run_unless_it_says_further() {
    let day = 86_400;
    for (look_back, expected) in [("", None), (", look_back: 1d", None), (", look_back: 7d", Some("clicked"))]
    {
        let with =
            format!("{{ any: [ {{ name: clicked, event: email.clicked }} ], timeout: 1h{look_back} }}");
        let mut play = waits(&with, &["clicked", "timeout"]);
        play.record("email.clicked", at(-3 * day), json!({}));
        play.start(at(0));
        assert_eq!(play.case("wait"), expected, "{look_back}");
    }
}

#[test]
fn a_wait_that_timed_out_takes_no_event_of_the_next_one() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: two
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - { id: one, action: wait_until, with: { any: [ { name: x, event: page.visited } ], timeout: 10s } }
  - { id: nap, action: delay, with: { for: 2s } }
  - { id: two, action: wait_until, with: { any: [ { name: x, event: page.visited } ], timeout: 1h } }
edges:
  - [asked, one]
  - { from: one, case: timeout, to: nap }
  - [nap, two]
",
    );
    play.start(at(0));
    play.clock(at(10));
    play.clock(at(12));
    play.event("page.visited", at(15), json!({}));
    assert_eq!((play.case("one"), play.case("two")), (Some("timeout"), Some("x")));
}

#[test]
fn two_waits_in_a_row_for_one_type_take_two_events() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: two
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - { id: one, action: wait_until, with: { any: [ { name: x, event: page.visited } ], timeout: 1h } }
  - { id: two, action: wait_until, with: { any: [ { name: x, event: page.visited } ], timeout: 1h } }
edges:
  - [asked, one]
  - { from: one, case: x, to: two }
",
    );
    play.start(at(0));
    play.event("page.visited", at(5), json!({}));
    assert_eq!((play.case("one"), play.case("two")), (Some("x"), None));
    // Delivered again, as after a crash.
    play.tell_last();
    assert_eq!(play.case("two"), None);
    play.event("page.visited", at(6), json!({}));
    assert_eq!(play.case("two"), Some("x"));
}

#[test]
fn an_event_that_was_recorded_before_the_second_wait_but_not_used_is_found_by_it() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: two
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - { id: opened, action: wait_until, with: { any: [ { name: x, event: email.opened } ], timeout: 1h } }
  - { id: clicked, action: wait_until, with: { any: [ { name: x, event: email.clicked } ], timeout: 1h } }
edges:
  - [asked, opened]
  - { from: opened, case: x, to: clicked }
",
    );
    play.start(at(0));
    // With pictures turned off, the click comes before the opening.
    play.event("email.clicked", at(5), json!({}));
    play.event("email.opened", at(6), json!({}));
    assert_eq!((play.case("opened"), play.case("clicked")), (Some("x"), Some("x")));
}

#[test]
fn of_two_alternatives_in_one_batch_the_one_that_happened_first_is_taken() {
    let with =
        "{ any: [ { name: a, event: email.clicked }, { name: b, event: page.visited } ], timeout: 1h }";
    let mut play = waits(with, &["a", "b", "timeout"]);
    play.record("email.clicked", at(9), json!({}));
    play.record("page.visited", at(8), json!({}));
    play.start(at(0));
    assert_eq!((play.case("wait"), play.tags()), (Some("b"), vec!["b"]));
    // Of two that fit the same event, the first that is written.
    let with = "{ any: [ { name: a, event: page.visited, where: { field: event.data.url, op: contains, value: shop } },
                         { name: b, event: page.visited } ], timeout: 1h }";
    let mut play = waits(with, &["a", "b", "timeout"]);
    play.start(at(0));
    play.event("page.visited", at(1), json!({ "url": "https://shop.example" }));
    assert_eq!(play.case("wait"), Some("a"));
}

#[test]
fn the_templates_of_a_filter_are_worked_out_when_the_wait_begins() {
    let with = "{ any: [ { name: clicked, event: email.clicked,
                    where: { field: event.data.cart, op: equals, value: '{{ event.data.cart }}' } } ], timeout: 1h }";
    let mut play = waits(with, &["clicked", "timeout"]);
    play.start_with(at(0), json!({ "cart": "c-1" }));
    assert_eq!(play.first("wait")["for"][0]["values"], json!(["\"c-1\""]));
    play.event("email.clicked", at(1), json!({ "cart": "c-2" }));
    assert_eq!(play.case("wait"), None);
    play.event("email.clicked", at(2), json!({ "cart": "c-1" }));
    assert_eq!(play.case("wait"), Some("clicked"));
    assert_eq!(play.output("wait")["event"]["data"]["cart"], "c-1", "later steps read what came");
}

const HOT: &str = "{ any: [ { name: hot, where: { field: contact.score, op: greater_or_equal, value: 80 } } ], timeout: 1h }";

#[test]
fn a_condition_that_holds_already_is_not_waited_for() {
    let mut play = waits(HOT, &["hot", "timeout"]);
    play.contact.score = 85.0;
    play.start(at(0));
    assert_eq!((play.case("wait"), &play.last("wait")["already"]), (Some("hot"), &json!(true)));
}

#[test]
fn a_condition_is_asked_again_when_something_is_said_of_the_contact() {
    let mut play = waits(HOT, &["hot", "timeout"]);
    play.contact.score = 50.0;
    play.start(at(0));
    assert_eq!(play.case("wait"), None);
    play.event("contact.tag_added", at(1), json!({ "tag": "x" }));
    assert_eq!(play.case("wait"), None);
    play.contact.score = 85.0;
    play.event("contact.score_changed", at(2), json!({}));
    assert_eq!(play.case("wait"), Some("hot"));
}

#[test]
fn a_condition_that_was_true_between_two_looks_alone_was_not_true() {
    let mut play = waits(HOT, &["hot", "timeout"]);
    play.contact.score = 50.0;
    play.start(at(0));
    // To 85 and back by two events of one batch: whoever looks sees the contact after both.
    play.record("contact.score_changed", at(1), json!({ "to": 85 }));
    play.event("contact.score_changed", at(2), json!({ "to": 50 }));
    assert_eq!(play.case("wait"), None);
}

#[test]
fn a_condition_that_only_the_clock_makes_true_wakes_the_run() {
    let with = "{ any: [ { name: open, where: { field: now.time, op: greater_or_equal, value: '09:00' } } ], timeout: 2d }";
    let mut play = waits(with, &["open", "timeout"]);
    play.contact.timezone = Some("Asia/Tokyo".to_owned());
    // Half past seven in Tokyo.
    let begins = "2027-06-04T22:30:00Z".parse().unwrap();
    play.start(begins);
    assert_eq!(play.case("wait"), None);
    let due = play.due().unwrap();
    assert_eq!(due, "2027-06-05T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap());
    play.clock(due);
    assert_eq!(play.case("wait"), Some("open"));
}

#[test]
fn a_repeated_event_puts_the_timeout_off_from_when_it_happened() {
    let with = "{ any: [ { name: bought, event: order.created } ], timeout: 30s, restart: [ { event: page.visited } ] }";
    let mut play = waits(with, &["bought", "timeout"]);
    play.start(at(0));
    play.event("page.visited", at(20), json!({}));
    play.tell_last();
    play.clock(at(49));
    assert_eq!((play.case("wait"), play.due()), (None, Some(at(50))));
    play.clock(at(50));
    assert_eq!(play.case("wait"), Some("timeout"));
}

#[test]
fn a_visit_from_before_the_wait_puts_nothing_off() {
    let with = "{ any: [ { name: bought, event: order.created } ], timeout: 30s, restart: [ { event: page.visited } ] }";
    let mut play = waits(with, &["bought", "timeout"]);
    play.record("page.visited", at(-5), json!({}));
    play.start(at(0));
    assert_eq!(play.due(), Some(at(30)));
}

#[test]
fn a_paused_run_hears_and_begins_nothing_until_it_is_resumed() {
    let mut play = clicked();
    play.start(at(0));
    play.is_paused = true;
    play.event("email.clicked", at(5), json!({}));
    assert_eq!((play.case("wait"), play.tags()), (Some("clicked"), Vec::<&str>::new()));
    play.is_paused = false;
    play.clock(at(90));
    assert_eq!((play.case("wait"), play.tags()), (Some("clicked"), vec!["clicked"]));
}

#[test]
fn a_run_without_a_contact_cannot_wait_for_events() {
    let mut play = clicked();
    play.has_contact = false;
    play.start(at(0));
    assert_eq!(play.error("wait").as_deref(), Some("no_contact"));
}

#[test]
fn a_wait_without_a_timeout_waits_for_ever_and_is_warned_of() {
    let mut play = waits("{ any: [ { name: clicked, event: email.clicked } ] }", &["clicked"]);
    assert_eq!(play.warnings(), ["no_timeout"]);
    play.start(at(0));
    assert_eq!(play.due(), None);
    play.event("email.clicked", at(400 * 86_400), json!({}));
    assert_eq!(play.case("wait"), Some("clicked"));
}

#[test]
fn a_timeout_may_come_from_a_template_and_has_to_be_a_duration() {
    let with = "{ any: [ { name: clicked, event: email.clicked } ], timeout: '{{ event.data.patience }}' }";
    for (patience, due) in [(json!("2m"), Some(at(120))), (json!(90), Some(at(90)))] {
        let mut play = waits(with, &["clicked", "timeout"]);
        play.start_with(at(0), json!({ "patience": patience }));
        assert_eq!(play.due(), due);
    }
    let mut play = waits(with, &["clicked", "timeout"]);
    play.start_with(at(0), json!({ "patience": "soon" }));
    assert_eq!(play.error("wait").as_deref(), Some("invalid_duration"));
}

#[test]
fn what_a_wait_cannot_mean_is_refused_with_its_place() {
    for (with, expected) in [
        ("{}", "nodes[0].with: wait_until needs \"any\" [missing_key]"),
        ("{ any: [] }", "nodes[0].with.any: a wait needs at least one alternative [bad_value]"),
        (
            "{ any: [ { name: a } ] }",
            "nodes[0].with.any[0]: an alternative needs \"event\", \"where\" or both [missing_key]",
        ),
        (
            "{ any: [ { name: timeout, event: a.b } ] }",
            "nodes[0].with.any[0].name: timeout is the way taken when nothing came in time; give the alternative another name [bad_name]",
        ),
        (
            "{ any: [ { name: a, event: a.b }, { name: a, event: a.c } ] }",
            "nodes[0].with.any[1].name: two alternatives of the wait are called \"a\" [duplicate_id]",
        ),
        (
            "{ any: [ { name: a, event: 'A B' } ] }",
            "nodes[0].with.any[0].event: an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes [bad_name]",
        ),
        (
            "{ any: [ { name: a, event: a.b } ], look_back: 31d }",
            "nodes[0].with.look_back: a wait looks back at most 30 days [bad_value]",
        ),
        (
            "{ any: [ { name: a, event: a.b } ], restart: [ { event: a.c } ] }",
            "nodes[0].with.restart: there is no timeout that could be restarted [misplaced_key]",
        ),
    ] {
        let problems = Play::problems(&format!(
            "apiVersion: automation/v1
key: waits
triggers: [{{ id: asked, event: form.submitted }}]
nodes: [{{ id: wait, action: wait_until, with: {with} }}]
edges: [[asked, wait]]
"
        ));
        assert!(problems.iter().any(|problem| problem == expected), "{with}: {problems:#?}");
    }
}

/// 10,000 runs, each with its own order of the beginning of the wait, the event, and repeated tellings.
#[test]
fn in_whatever_order_event_and_wait_meet_the_event_is_taken_once() {
    let (mut missed, mut double, fresh) = (0, 0, clicked());
    for seed in 0_u32..10_000 {
        let order = seed.wrapping_mul(2_654_435_761);
        let mut play = fresh.again();
        let (recorded_first, told_before_look, told_twice) = (order & 1 == 0, order & 2 == 0, order & 4 == 0);
        if recorded_first {
            play.record("email.clicked", at(1), json!({}));
        }
        play.looks_at_once = !told_before_look;
        play.start(at(0));
        if !recorded_first {
            play.record("email.clicked", at(1), json!({}));
        }
        play.tell_last();
        if told_twice {
            play.tell_last();
        }
        play.look();
        play.clock(at(61));
        missed += u32::from(play.case("wait") != Some("clicked"));
        double += u32::from(play.tags().len() != 1);
    }
    assert_eq!((missed, double), (0, 0));
}

#[test]
fn state_that_was_saved_while_it_waits_goes_on_as_it_was() {
    let mut play = clicked();
    play.start(at(0));
    let saved: Value = serde_json::to_value(&play.state).unwrap();
    play.state = serde_json::from_value(saved).unwrap();
    play.event("email.clicked", at(5), json!({}));
    assert_eq!(play.case("wait"), Some("clicked"));
}
