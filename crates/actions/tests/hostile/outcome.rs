//! What an entry comes to, in a line.

use crate::subject::{Subject, TEXTS};
use automation_actions::node_types;
use automation_domain::budget::{BUDGETS_TOGETHER, Budget, LOG_BYTES};
use automation_domain::condition::Condition;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::interpreter::{
    Advanced, End, NothingRecorded, NothingStored, OwedFor, RunEvent, RunInput, RunState, Unwatched, advance,
};
use automation_domain::json;
use automation_domain::past::Past;
use automation_domain::problem::Problem;
use automation_domain::template::Template;
use automation_domain::workflow::{self, Workflow};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The order of magnitude of what was charged, so that the corpus is not to be changed with every detail.
fn magnitude(steps: u64) -> String {
    match steps {
        0..1_000 => "up to a thousand steps".to_owned(),
        1_000..10_000 => "thousands of steps".to_owned(),
        10_000..100_000 => "tens of thousands of steps".to_owned(),
        _ => "hundreds of thousands of steps".to_owned(),
    }
}

fn codes(problems: &[Problem]) -> String {
    let codes: BTreeSet<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
    format!("refused: {}", codes.into_iter().collect::<Vec<_>>().join(", "))
}

fn facts<'a>(subject: &'a Subject, budget: &'a Budget) -> Facts<'a> {
    let (event, contact) = (Some(&subject.event), Some(&subject.contact));
    let (past, tenant) = (Past::Unknown, TenantFacts::new("acme", "UTC"));
    Facts { event, contact, run: None, past, tenant, now: subject.now, budget }
}

/// Nobody is charged more than there is.
fn check(subject: &Subject, budget: &Budget) {
    assert!(budget.spent_steps() <= subject.limits.evaluation_steps);
    assert!(budget.spent_bytes() <= subject.limits.evaluation_bytes);
}

pub fn of_template(subject: &Subject, text: &str) -> String {
    let template = match Template::parse(text, "with.text", &subject.limits) {
        Ok(template) => template,
        Err(problem) => return codes(&[problem]),
    };
    let budget = Budget::new(&subject.limits);
    let rendered = template.render(&facts(subject, &budget));
    check(subject, &budget);
    match rendered {
        Ok(value) => {
            let bytes = json::size_bytes(&value);
            assert!(bytes as u64 <= subject.limits.evaluation_bytes, "{bytes}");
            format!("{bytes} bytes, {}", magnitude(budget.spent_steps()))
        }
        Err(error) => format!("fails: {}", error.code),
    }
}

pub fn of_pattern(subject: &Subject, pattern: &str) -> String {
    let condition =
        |text: &str| json!({ "field": format!("event.data.{text}"), "op": "regex_match", "value": pattern });
    let mut told = Vec::new();
    for text in TEXTS {
        let condition = match Condition::parse(&condition(text), "where", &subject.limits) {
            Ok(condition) => condition,
            Err(problems) => return codes(&problems),
        };
        let budget = Budget::new(&subject.limits);
        let holds = condition.holds(&facts(subject, &budget));
        check(subject, &budget);
        let found = match holds {
            Ok(true) => "found",
            Ok(false) => "not found",
            Err(_exceeded) => "over_budget",
        };
        told.push(format!("{text} {found}, {}", magnitude(budget.spent_steps())));
    }
    told.join("; ")
}

pub fn of_definition(subject: &Subject, definition: &Value) -> String {
    match workflow::parse_value(definition, node_types(), &subject.limits) {
        Ok(workflow) => of_workflow(subject, &workflow),
        Err(problems) => {
            assert!(problems.len() <= 101, "{} problems", problems.len());
            codes(&problems)
        }
    }
}

/// Decides as ingest does, then walks as executors do, turn by turn.
fn of_workflow(subject: &Subject, workflow: &Workflow) -> String {
    assert!(workflow.memory_bytes <= 16 * 1024 * 1024, "{} bytes", workflow.memory_bytes);
    let budget = Budget::new(&subject.limits);
    let conditions = workflow.triggers.iter().filter_map(|trigger| trigger.condition.as_ref());
    let decided = conditions.map(|condition| condition.holds(&facts(subject, &budget)));
    let over_budget = decided.filter(Result::is_err).count();
    check(subject, &budget);
    let (mut state, mut input) = (RunState::default(), started(workflow));
    for turn in 1..=2_000 {
        let walked = turn_of(subject, workflow, state, input);
        if let Some(end) = &walked.state.end {
            let end = match end {
                End::Completed => "completed".to_owned(),
                End::Failed { error, .. } => format!("failed: {}", error.code),
                End::Cancelled { .. } => "cancelled".to_owned(),
            };
            let silent = if over_budget > 0 { ", triggers over_budget" } else { "" };
            return format!("{end} in {turn} turns{silent}");
        }
        if walked.state.owed(subject.now).iter().all(|owed| owed.waits_for == OwedFor::Outcome) {
            return format!("waits for an answer after {turn} turns");
        }
        (state, input) = (walked.state, RunEvent::TimerFired);
    }
    panic!("it does not come to an end");
}

fn started(workflow: &Workflow) -> RunEvent {
    RunEvent::Started { trigger: workflow.triggers[0].id.clone() }
}

fn turn_of(subject: &Subject, workflow: &Workflow, state: RunState, input: RunEvent) -> Advanced {
    let limits = &subject.limits;
    let run = RunInput {
        event: Some(&subject.event),
        contact: Some(subject.contact.clone()),
        tenant: TenantFacts::new("acme", "UTC"),
        run_id: subject.run_id,
        run_key: "c-1",
        started_at: subject.now,
        version: 1,
        now: subject.now,
        limits,
        ladder: &subject.ladder,
        is_paused: false,
        stored: &NothingStored,
        recorded: &NothingRecorded,
        watch: &Unwatched,
    };
    let walked = advance(workflow, state, [input], run);
    assert!(walked.spent.steps <= (BUDGETS_TOGETHER + 1) * limits.evaluation_steps, "{:?}", walked.spent);
    assert!(walked.spent.bytes <= 2 * limits.evaluation_bytes, "{:?}", walked.spent);
    for step in walked.log().filter(|step| step.action == "branch") {
        // Beside its comparisons: the names of its cases.
        assert!(json::size_bytes(&step.detail) <= 2 * LOG_BYTES, "{}", step.node);
    }
    walked
}
