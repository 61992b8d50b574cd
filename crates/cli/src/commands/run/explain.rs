//! `automation run explain`: why the run was started, what each step did and why, and what it waits for.

use crate::output::{Output, time};
use crate::session::Session;
use automation_domain::contact::Contact;
use automation_domain::interpreter::{Step, StepOutcome};
use automation_store::run_lists::RunDetail;
use automation_store::contacts;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Prints the story.
pub(super) async fn explain(session: &Session, detail: &RunDetail, output: &Output) -> anyhow::Result<()> {
    let contact = match &detail.summary.contact {
        None => None,
        Some(subject) => {
            session
                .db
                .tx(session.scope(), async |connection| contacts::find(connection, session.tenant, subject).await)
                .await?
        }
    };
    let mut value = super::detail_json(detail);
    value["contact_record"] = json!(contact);
    output.one(&value, || story(detail, contact.as_ref()));
    Ok(())
}

fn story(detail: &RunDetail, contact: Option<&Contact>) -> String {
    let run = &detail.summary;
    let mut text = String::new();
    let mut line = |indent: usize, words: String| {
        let _ = writeln!(text, "{:indent$}{words}", "");
    };
    line(0, format!("Run {} of workflow {}, version {}", run.run_id, run.workflow, run.version));
    match &run.event {
        Some(event) => line(0, format!("  event    {} from {}, id {}", event.event_type, event.source, event.id)),
        None => line(0, "  event    no longer kept".to_owned()),
    }
    line(2, format!("received {}", time(run.received_at)));
    line(2, format!("trigger  {} (unique by {})", run.trigger, run.run_key));
    if let Some(contact) = contact {
        let email = contact.email.as_deref().unwrap_or("no e-mail address");
        line(2, format!("contact  {} ({email})", contact.subject));
    }
    line(0, String::new());
    for entry in &detail.log {
        line(0, format!("{}  claim {} by {}", time(entry.logged_at), entry.seq, entry.worker));
        for step in &entry.steps {
            line(4, step_line(step));
            for reason in reasons(&step.detail) {
                line(8, reason);
            }
        }
    }
    line(0, String::new());
    match (run.finished_at, run.waits_until) {
        (Some(at), _) => line(0, format!("{} at {}", run.status.as_str(), time(at))),
        (None, Some(until)) => line(0, format!("{}; goes on at {}", run.status.as_str(), time(until))),
        (None, None) => line(0, format!("{}; epoch {}", run.status.as_str(), run.epoch)),
    }
    if let Some(failure) = &run.failure {
        let at = failure.node.as_deref().map(|node| format!(" at node {node}")).unwrap_or_default();
        line(0, format!("failed{at}: {} [{}]", failure.error.message, failure.error.code));
    }
    text
}

fn step_line(step: &Step) -> String {
    let outcome = match step.outcome {
        StepOutcome::Completed => "completed",
        StepOutcome::Failed => "failed",
        StepOutcome::Waiting => "waiting",
    };
    let visit = if step.visit > 1 { format!(" (visit {})", step.visit) } else { String::new() };
    format!("{} {}{visit}: {outcome}", step.node, step.action)
}

/// What a step's detail says, a line each; comparisons with both values.
fn reasons(detail: &Value) -> Vec<String> {
    let Some(members) = detail.as_object() else { return Vec::new() };
    let mut lines = Vec::new();
    for (name, value) in members {
        match value.as_array().filter(|_| name == "comparisons") {
            Some(comparisons) => lines.extend(comparisons.iter().map(comparison)),
            None => lines.push(format!("{name}: {}", plain(value))),
        }
    }
    lines
}

fn comparison(comparison: &Value) -> String {
    let holds = if comparison["holds"] == true { "yes" } else { "no " };
    format!(
        "{holds}  {} {} {}, is {}",
        plain(&comparison["field"]),
        plain(&comparison["op"]),
        comparison["expected"],
        comparison["actual"]
    )
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
