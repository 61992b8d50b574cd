//! Waits in branches that run at the same time.

use crate::play::{Play, at};
use serde_json::json;

fn branches(join: &str, first: &str, second: &str) -> Play {
    Play::of(&format!(
        "apiVersion: automation/v1
key: branches
triggers: [{{ id: asked, event: form.submitted }}]
nodes:
  - {{ id: both, action: parallel, with: {{ join: {join}, join_at: done }} }}
  - {{ id: a, {first} }}
  - {{ id: b, {second} }}
  - {{ id: done, action: add_tag, with: {{ tag: done }} }}
edges:
  - [asked, both]
  - [both, a]
  - [both, b]
  - {{ from: a, case: x, to: done }}
  - {{ from: b, case: x, to: done }}
"
    ))
}

const CLICK: &str = "action: wait_until, with: { any: [ { name: x, event: email.clicked } ], timeout: 7d }";
const VISIT: &str = "action: wait_until, with: { any: [ { name: x, event: page.visited } ], timeout: 7d }";

#[test]
fn one_event_moves_every_branch_that_waits_for_it_and_the_join_fires_once() {
    let mut play = branches("all", CLICK, CLICK);
    play.start(at(0));
    assert!(play.tags().is_empty());
    play.event("email.clicked", at(5), json!({}));
    assert_eq!((play.tags(), play.is_open()), (vec!["done"], false));
    play.tell_last();
    assert_eq!(play.tags(), ["done"]);
}

#[test]
fn the_loser_of_a_race_waits_for_nothing_any_more() {
    let mut play = branches("any", CLICK, VISIT);
    play.start(at(0));
    assert_eq!(play.state.awaited_types().len(), 2);
    play.event("email.clicked", at(3), json!({}));
    assert_eq!((play.tags(), play.is_open(), play.due()), (vec!["done"], false, None));
    assert!(play.state.awaited_types().is_empty());
}

#[test]
fn branches_that_wait_for_different_events_meet_when_both_have_come() {
    let mut play = branches("all", CLICK, VISIT);
    play.start(at(0));
    play.event("page.visited", at(1), json!({}));
    assert!(play.tags().is_empty());
    play.event("email.clicked", at(2), json!({}));
    assert_eq!(play.tags(), ["done"]);
}

#[test]
fn an_event_that_moved_a_branch_moves_nothing_behind_the_join_again() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: behind
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - { id: both, action: parallel, with: { join: all, join_at: after } }
  - { id: a, action: wait_until, with: { any: [ { name: x, event: email.clicked } ], timeout: 7d } }
  - { id: b, action: delay, with: { for: 1m } }
  - { id: after, action: wait_until, with: { any: [ { name: x, event: email.clicked } ], timeout: 7d } }
edges:
  - [asked, both]
  - [both, a]
  - [both, b]
  - { from: a, case: x, to: after }
  - [b, after]
",
    );
    play.start(at(0));
    play.event("email.clicked", at(5), json!({}));
    play.clock(at(60));
    assert_eq!((play.case("a"), play.case("after")), (Some("x"), None));
    play.event("email.clicked", at(61), json!({}));
    assert_eq!(play.case("after"), Some("x"));
}
