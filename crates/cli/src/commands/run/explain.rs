//! `automation run explain`: why the run was started, what each step did and why, and what it waits for.

mod requests;

use crate::commands::entry::{self, compared, left_out, plain, short};
use crate::output::time;
use automation_domain::event::RecordedEvent;
use automation_domain::interpreter::{BranchState, End, Fork, Step, StepOutcome, Waits};
use automation_operations::dead_letters::DeadLetter;
use automation_operations::runs::{Run, RunDetail, Story, Trace};
use chrono::TimeDelta;
use serde_json::Value;

/// The story, to be read.
pub(super) fn told(story: &Story) -> Vec<String> {
    let Run(detail) = &story.run;
    let mut lines = heading(story);
    for condition in &story.entries {
        lines.extend(entry::told(condition, 2, " (with the contact as it is today)"));
    }
    lines.push(String::new());
    for entry in &detail.log {
        let after = taken(entry.logged_at - detail.summary.received_at);
        lines.push(format!("{}  +{after}  claim {} by {}", time(entry.logged_at), entry.seq, entry.worker));
        for step in &entry.steps {
            tell(step, &mut lines);
            if let Some(input) = story.input(&step.detail) {
                lines.push(format!("    with {}", short(input)));
            }
        }
    }
    lines.push(String::new());
    for effect in &story.effects {
        lines.extend(requests::told(effect));
        lines.push(String::new());
    }
    lines.extend(ending(detail));
    lines.extend(story.letters.iter().map(letter));
    lines
}

fn heading(story: &Story) -> Vec<String> {
    let run = &story.run.0.summary;
    let mut lines = vec![format!("Run {} of workflow {}, version {}", run.run_id, run.workflow, run.version)];
    match &story.event {
        Some(RecordedEvent { event, .. }) => {
            lines.push(format!("  event     {} from {}, id {}", event.event_type, event.source, event.id));
            lines.push(format!("            {}", short(&event.data)));
        }
        None => lines.push("  event     no longer kept".to_owned()),
    }
    lines.push(match &story.contact {
        Some(contact) => {
            let email = contact.email.as_deref().unwrap_or("no e-mail address");
            format!("  contact   {} ({email})", contact.subject)
        }
        None => "  contact   none".to_owned(),
    });
    lines.push(format!("  received  {}", time(run.received_at)));
    lines.push(format!("  trigger   {} (unique by {})", run.trigger, run.run_key));
    lines.extend(story.trace().map(|trace| match trace {
        Trace::Run(id) => format!("  trace     {id}"),
        Trace::Event(id) => format!("  trace     {id} (of the event; the run is not recorded in it)"),
    }));
    lines
}

/// What was given up, and what became of that.
fn letter(letter: &DeadLetter) -> String {
    let id = letter.dead_letter_id;
    match (letter.changed_at, &letter.changed_by) {
        (Some(at), Some(who)) => format!(
            "dead letter {id} of {}: {} at {} by {who}",
            time(letter.died_at),
            letter.status,
            time(at)
        ),
        _ => format!("dead letter {id} of {}: {}", time(letter.died_at), letter.status),
    }
}

/// A step, and for a branch every comparison that was made then.
pub(in crate::commands) fn tell(step: &Step, lines: &mut Vec<String>) {
    let visit = if step.visit > 1 { format!(" (visit {})", step.visit) } else { String::new() };
    let head = format!("  {} {}{visit}: {}", step.node, step.action, outcome(step.outcome));
    if step.outcome == StepOutcome::Retrying {
        let detail = &step.detail;
        let why = format!("{} [{}]", plain(&detail["message"]), plain(&detail["code"]));
        let who = if detail["deferred"] == true { "put off, as the other side asked" } else { "tried again" };
        lines.push(format!(
            "  {} {}{visit}: attempt {} failed: {why}; {who}, at {}",
            step.node,
            step.action,
            detail["attempt"],
            plain(&detail["next_at"]),
        ));
        return;
    }
    if step.action == "discard" {
        lines.push(format!("  {}: given up, its join waits for it no longer", step.node));
        return;
    }
    if step.action == "replay" {
        lines.push(format!("  {}: {}", step.node, brought_back(&step.detail)));
        return;
    }
    let Some(cases) = step.detail["cases"].as_array() else {
        let detail = if step.detail.is_null() { String::new() } else { format!("  {}", short(&step.detail)) };
        lines.push(head + &detail);
        return;
    };
    lines.push(format!("{head}, takes {}", plain(&step.detail["case"])));
    for case in cases {
        let verdict = if case["holds"] == true { "holds" } else { "does not hold" };
        lines.push(format!("    case {} {verdict}", plain(&case["case"])));
        for one in case["comparisons"].as_array().into_iter().flatten() {
            let (field, op) = (plain(&one["field"]), plain(&one["op"]));
            lines.push(compared(6, one["holds"] == true, &field, &op, &one["actual"], &one["expected"]));
        }
        let rest = case["left_out"].as_u64().and_then(|count| usize::try_from(count).ok());
        lines.extend(left_out(6, rest.unwrap_or(0)));
    }
}

/// How a person brought the run back, and why.
fn brought_back(detail: &Value) -> String {
    let key = if detail["key"] == "new" { "another key" } else { "the same key" };
    let mut told = format!("brought back from dead letter {}, under {key}", plain(&detail["dead_letter"]));
    if !detail["version"].is_null() {
        told.push_str(&format!(", on version {}", detail["version"]));
    }
    if !detail["edited"].is_null() {
        told.push_str(", with an edited request");
    }
    if !detail["note"].is_null() {
        told.push_str(&format!(": {}", plain(&detail["note"])));
    }
    told
}

fn ending(detail: &RunDetail) -> Vec<String> {
    let run = &detail.summary;
    let Some(at) = run.finished_at else {
        let tokens = detail.state.iter().flat_map(|state| state.tokens.values());
        let waits = tokens.map(|token| match &token.waits {
            Waits::Timer { until } => format!("{} waits until {}", token.node, time(*until)),
            Waits::Event(awaited) => {
                let person = awaited.asked.as_ref().map(|_| "a person".to_owned());
                let types: Vec<String> = person.into_iter().chain(awaited.types.iter().cloned()).collect();
                let types = types.join(", ");
                let until = awaited.until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
                format!("{} waits for {types}{until}", token.node)
            }
            Waits::Dead { error, until, .. } => {
                let then = match until {
                    Some(until) => format!("its join waits for it until {}", time(*until)),
                    None => "other branches go on".to_owned(),
                };
                format!("{} failed for good: {} [{}]; {then}", token.node, error.message, error.code)
            }
            Waits::Turn => {
                format!("{} is next: as soon as it is its turn, or the workflow is resumed", token.node)
            }
            Waits::Action { tries } => {
                format!("{} waits for the answer to attempt {}", token.node, tries.attempt)
            }
            Waits::Retry { until, tries, .. } => {
                format!("{} is tried again at {}: attempt {}", token.node, time(*until), tries.attempt)
            }
        });
        let forks = detail.state.iter().flat_map(|state| state.forks.values()).map(branches);
        return std::iter::once(run.status.to_string()).chain(waits).chain(forks).collect();
    };
    let mut lines = vec![format!("{} at {}, after {}", run.status, time(at), taken(at - run.received_at))];
    if let Some(by) = detail.state.as_ref().and_then(|state| state.ended_by.as_ref()) {
        let what = if by.is_goal { "its goal" } else { "an exit" };
        lines.push(format!("{what} ended it: {} {}", by.event_type, by.event_id));
    }
    match detail.state.as_ref().and_then(|state| state.end.as_ref()) {
        Some(End::Failed { node, error, .. }) => {
            let node = node.as_deref().map(|node| format!("at node {node}: ")).unwrap_or_default();
            lines.push(format!("{node}{} [{}]", error.message, error.code));
        }
        Some(End::Cancelled { reason }) => lines.push(format!("because: {reason}")),
        Some(End::Completed) | None => {}
    }
    lines
}

/// How far the branches of a node are.
fn branches(fork: &Fork) -> String {
    let [open, arrived, ended] =
        [BranchState::Open, BranchState::Arrived, BranchState::Ended].map(|state| fork.count(state));
    format!("{} has {open} branches on their way, {arrived} that arrived, {ended} that ended", fork.node)
}

fn outcome(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Completed => "completed",
        StepOutcome::Failed => "failed",
        StepOutcome::Waiting => "waiting",
        StepOutcome::Retrying => "tried again",
        StepOutcome::Skipped => "skipped",
    }
}

/// A duration for people.
fn taken(duration: TimeDelta) -> String {
    let millis = duration.num_milliseconds().max(0);
    if millis < 10_000 {
        format!("{millis} ms")
    } else if millis < 600_000 {
        format!("{} s", millis / 1_000)
    } else {
        format!("{} min", millis / 60_000)
    }
}
