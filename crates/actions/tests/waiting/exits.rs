//! Events that end runs before their way is over.

use crate::play::{Play, at};
use automation_domain::interpreter::{End, ReplayKey};
use serde_json::json;

/// A delay of thirty days behind the trigger, and these exits.
fn sleeps(exits: &str) -> Play {
    Play::of(&format!(
        "apiVersion: automation/v1
key: sleeps
exit: {exits}
triggers: [{{ id: asked, event: form.submitted }}]
nodes:
  - {{ id: first, action: add_tag, with: {{ tag: asked }} }}
  - {{ id: nap, action: delay, with: {{ for: 30d }} }}
  - {{ id: mail, action: add_tag, with: {{ tag: mailed }} }}
edges: [[asked, first], [first, nap], [nap, mail]]
"
    ))
}

const BOUGHT: &str = "[ { event: order.created } ]";

#[test]
fn an_exit_ends_the_run_at_once_whatever_it_waits_for() {
    let mut play = sleeps(BOUGHT);
    play.start(at(0));
    assert_eq!((play.tags(), play.is_open()), (vec!["asked"], true));
    play.event("order.created", at(86_400), json!({}));
    assert_eq!((&play.state.end, play.due()), (&Some(End::Completed), None));
    assert_eq!(play.state.ended_by.as_ref().unwrap().event_type, "order.created");
    assert!(play.state.awaited_types().is_empty());
    play.clock(at(31 * 86_400));
    assert_eq!(play.tags(), ["asked"], "the mail does not go out");
}

#[test]
fn the_condition_of_an_exit_is_asked_of_the_event_that_comes() {
    let exits = "[ { event: order.created, where: { field: event.data.cart, op: equals, value: '{{ event.data.cart }}' } } ]";
    let mut play = sleeps(exits);
    play.start_with(at(0), json!({ "cart": "c-1" }));
    play.event("order.created", at(1), json!({ "cart": "c-2" }));
    assert!(play.is_open());
    play.event("order.created", at(2), json!({ "cart": "c-1" }));
    assert!(!play.is_open());
}

#[test]
fn an_event_from_before_the_one_that_started_the_run_does_not_end_it() {
    let mut play = sleeps(BOUGHT);
    play.start(at(0));
    play.event("order.created", at(-60), json!({}));
    assert!(play.is_open());
}

#[test]
fn an_exit_that_looks_back_is_asked_before_any_step_begins() {
    for (look_back, tags) in [("1d", vec![]), ("1h", vec!["asked"])] {
        let mut play = sleeps(&format!("[ {{ event: order.created, look_back: {look_back} }} ]"));
        play.record("order.created", at(-7_200), json!({}));
        play.start(at(0));
        assert_eq!((play.tags(), play.is_open()), (tags.clone(), !tags.is_empty()), "{look_back}");
    }
}

#[test]
fn an_exit_that_came_with_the_trigger_ends_the_run_before_any_step() {
    let mut play = sleeps(BOUGHT);
    play.record("order.created", at(1), json!({}));
    play.start(at(0));
    assert_eq!((play.tags(), play.is_open()), (vec![], false));
    assert_eq!(play.last("")["looked_back"], json!(true));
}

#[test]
fn an_exit_is_heard_before_a_wait_for_the_same_event() {
    let mut play = Play::of(
        "apiVersion: automation/v1
key: both
exit: [ { event: order.created } ]
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - { id: wait, action: wait_until, with: { any: [ { name: bought, event: order.created } ], timeout: 1d } }
  - { id: thanks, action: add_tag, with: { tag: thanks } }
edges:
  - [asked, wait]
  - { from: wait, case: bought, to: thanks }
",
    );
    play.start(at(0));
    play.event("order.created", at(1), json!({}));
    assert_eq!((play.tags(), play.is_open()), (vec![], false));
}

#[test]
fn an_exit_ends_a_paused_run_too() {
    let mut play = sleeps(BOUGHT);
    play.start(at(0));
    play.is_paused = true;
    play.event("order.created", at(5), json!({}));
    assert!(!play.is_open());
}

#[test]
fn the_event_that_started_the_run_does_not_end_it() {
    let mut play = sleeps("[ { event: form.submitted } ]");
    play.start(at(0));
    play.tell_last();
    assert!(play.is_open());
    play.event("form.submitted", at(1), json!({}));
    assert!(!play.is_open());
}

#[test]
fn a_run_without_a_contact_has_no_exits() {
    let mut play = sleeps(BOUGHT);
    play.has_contact = false;
    play.start(at(0));
    assert!(play.state.awaited_types().is_empty());
}

#[test]
fn a_replay_watches_for_exits_again_and_finds_what_it_missed() {
    let mut play = sleeps(BOUGHT);
    play.has_contact = true;
    play.start(at(0));
    let tokens = play.state.tokens.clone();
    let error = automation_domain::interpreter::StepError { code: "x".to_owned(), message: "x".to_owned() };
    play.state.end = Some(End::Failed { node: None, error, tokens });
    play.state.tokens.clear();
    assert!(play.state.awaited_types().is_empty());
    play.record("order.created", at(60), json!({}));
    play.state.revive(ReplayKey::Same, at(120)).unwrap();
    assert_eq!(play.state.awaited_types().into_iter().collect::<Vec<_>>(), ["order.created"]);
    play.clock(at(120));
    assert!(!play.is_open());
}

#[test]
fn what_an_exit_cannot_mean_is_refused_with_its_place() {
    for (exits, expected) in [
        ("[ {} ]", "exit[0]: an exit needs \"event\" [missing_key]"),
        (
            "[ { event: a.b, look_back: 31d } ]",
            "exit[0].look_back: an exit looks back at most 30 days [bad_value]",
        ),
        (
            "[ { event: a.b, where: { field: steps.gone.case, op: equals, value: x } } ]",
            "exit[0].where: \"steps.gone.case\" refers to the node \"gone\", which does not exist [unknown_node]",
        ),
    ] {
        let problems = Play::problems(&format!(
            "apiVersion: automation/v1
key: exits
exit: {exits}
triggers: [{{ id: asked, event: form.submitted }}]
nodes: [{{ id: tag, action: add_tag, with: {{ tag: a }} }}]
edges: [[asked, tag]]
"
        ));
        assert!(problems.iter().any(|problem| problem == expected), "{exits}: {problems:#?}");
    }
}
