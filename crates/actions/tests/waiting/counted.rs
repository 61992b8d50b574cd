//! Runs whose way goes by what happened to their contact before: branches, waits and exits that count events.

use super::play::{Play, at};
use super::waits;
use serde_json::json;

const VISITS: &str = "{ count: { event: page.visited, within: 1m, where: { field: event.data.url, op: contains, value: pricing } }, \
     op: greater_or_equal, value: 3 }";

fn visit(play: &mut Play, seconds: i64) {
    play.event("page.visited", at(seconds), json!({ "url": "/pricing" }));
}

#[test]
fn a_branch_goes_by_the_sum_of_what_happened_within_its_window() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: orders
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - id: size
    action: branch
    with:
      cases:
        - { name: big, where: { sum: { event: order.completed, of: event.data.total, within: 30d }, op: greater_than, value: 500 } }
  - { id: big, action: add_tag, with: { tag: big } }
  - { id: small, action: add_tag, with: { tag: small } }
edges:
  - [asked, size]
  - { from: size, case: big, to: big }
  - { from: size, case: else, to: small }
",
    );
    const DAY: i64 = 86_400;
    let orders = [(-31 * DAY, 1_000.0), (-30 * DAY, 250.25), (-DAY, 250.0)];
    for (ordered, expected, figure) in [(2, "small", json!(250.25)), (3, "big", json!(500.25))] {
        let mut play = play.again();
        orders[..ordered].iter().for_each(|(seconds, total)| {
            play.record("order.completed", at(*seconds), json!({ "total": total }));
        });
        play.start(at(0));
        let told = &play.last("size")["cases"][0]["comparisons"][0];
        assert_eq!((&told["actual"], &told["expected"]), (&figure, &json!(500)));
        assert_eq!(told["counted"]["events"], json!(ordered - 1), "the oldest is out of the window");
        assert_eq!(play.tags(), [expected], "{ordered}");
    }
    play.has_contact = false;
    play.start(at(0));
    assert_eq!(play.tags(), [""; 0], "a tag needs somebody");
    assert_eq!(play.case("size"), Some("else"), "nothing happened to nobody");
}

#[test]
fn a_wait_for_a_count_ends_with_the_event_that_makes_it_so_many() {
    let mut play = waits(
        &format!("{{ any: [ {{ name: often, where: {VISITS} }} ], timeout: 1h }}"),
        &["often", "timeout"],
    );
    play.start(at(0));
    visit(&mut play, 1);
    play.event("page.visited", at(2), json!({ "url": "/blog" }));
    visit(&mut play, 2);
    assert_eq!(play.case("wait"), None);
    visit(&mut play, 61);
    assert_eq!(play.case("wait"), Some("often"), "the first is exactly as old as the window");
    let told = &play.last("wait")["comparisons"][0];
    assert_eq!((&told["actual"], &told["counted"]["events"]), (&json!(3), &json!(3)));
    assert_eq!(told["field"], json!("count of page.visited within 1m"));
}

#[test]
fn events_that_are_too_far_apart_never_come_to_the_count() {
    let mut play = waits(
        &format!("{{ any: [ {{ name: often, where: {VISITS} }} ], timeout: 10m }}"),
        &["often", "timeout"],
    );
    play.start(at(0));
    (0..20).for_each(|number| visit(&mut play, number * 31));
    assert_eq!(play.case("wait"), None);
    play.clock(at(620));
    assert_eq!(play.case("wait"), Some("timeout"));
}

#[test]
fn an_event_that_is_late_and_one_from_before_the_run_count_by_their_time() {
    let mut play = waits(
        &format!("{{ any: [ {{ name: often, where: {VISITS} }} ], timeout: 1h }}"),
        &["often", "timeout"],
    );
    play.record("page.visited", at(-20), json!({ "url": "/pricing" }));
    play.start(at(0));
    visit(&mut play, 10);
    assert_eq!(play.case("wait"), None);
    // It happened before the run began, and is received after the second.
    visit(&mut play, -5);
    assert_eq!(play.case("wait"), Some("often"));
}

#[test]
fn an_event_that_is_recorded_while_the_wait_begins_is_counted_when_it_looks_back() {
    let mut play = waits(
        &format!("{{ any: [ {{ name: often, where: {VISITS} }} ], timeout: 1h }}"),
        &["often", "timeout"],
    );
    play.looks_at_once = false;
    play.start(at(0));
    // Nobody told the run of these: it did not wait yet when they were recorded.
    (1..=3).for_each(|second| play.record("page.visited", at(second), json!({ "url": "/pricing" })));
    play.set_clock(at(4));
    assert_eq!(play.case("wait"), None);
    play.look();
    assert_eq!(play.case("wait"), Some("often"));
}

#[test]
fn a_count_that_falls_by_time_alone_wakes_the_run_when_it_does() {
    let quiet = "{ count: { event: page.visited, within: 1m }, op: less_than, value: 2 }";
    let mut play = waits(
        &format!("{{ any: [ {{ name: quiet, where: {quiet} }} ], timeout: 1h }}"),
        &["quiet", "timeout"],
    );
    play.record("page.visited", at(-30), json!({}));
    play.record("page.visited", at(-10), json!({}));
    play.start(at(0));
    assert_eq!(play.case("wait"), None);
    let due = play.due().expect("the clock has a say in it");
    assert_eq!((due - at(0)).num_seconds(), 30);
    visit(&mut play, 20);
    let due = play.due().expect("the clock has a say in it");
    assert_eq!((due - at(0)).num_seconds(), 30, "then there are still two");
    play.clock(due);
    assert_eq!(play.case("wait"), None);
    let due = play.due().expect("the clock has a say in it");
    assert_eq!((due - at(0)).num_seconds(), 50);
    play.clock(due);
    assert_eq!(play.case("wait"), Some("quiet"));
}

#[test]
fn a_run_that_waits_for_a_count_to_rise_is_not_woken_by_the_clock() {
    let mut play = waits(
        &format!("{{ any: [ {{ name: often, where: {VISITS} }} ], timeout: 1h }}"),
        &["often", "timeout"],
    );
    play.start(at(0));
    visit(&mut play, 1);
    visit(&mut play, 2);
    assert_eq!(play.due(), Some(at(3_600)), "the time-out alone");
}

#[test]
fn an_exit_may_count_what_happened_before() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: exits
exit:
  - { event: order.completed, where: { sum: { event: order.completed, of: event.data.total, within: 1d }, op: greater_or_equal, value: 100 } }
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - { id: later, action: delay, with: { for: 1d } }
  - { id: tag, action: add_tag, with: { tag: late } }
edges: [[asked, later], [later, tag]]
",
    );
    play.start(at(0));
    play.event("order.completed", at(10), json!({ "total": 60 }));
    assert!(play.is_open());
    play.event("order.completed", at(20), json!({ "total": 40 }));
    assert!(!play.is_open());
    assert_eq!(play.tags(), [""; 0]);
}

#[test]
fn a_schedule_has_nobody_whose_events_could_be_counted() {
    let problems = Play::problems(
        "apiVersion: automation/v1
key: nightly
triggers:
  - { id: nightly, schedule: { every: 1h }, where: { count: { event: page.visited, within: 7d }, op: equals, value: 0 } }
nodes: [{ id: end, action: stop_workflow }]
edges: [[nightly, end]]
",
    );
    assert_eq!(
        problems,
        [
            "triggers[0].where: the schedule \"nightly\" is about no contact: nothing of one can be asked for [no_contact]"
        ]
    );
}
