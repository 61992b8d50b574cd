//! `automation run explain`: why the run was started, what each step did and why, and what it waits for.

mod requests;

use crate::commands::entry::{self, Entry, compared, left_out, plain, short};
use crate::commands::event::show::trace_id;
use crate::output::{Output, time};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::Facts;
use automation_domain::id::RecordId;
use automation_domain::interpreter::{End, Step, StepOutcome, Waits};
use automation_domain::limits::Limits;
use automation_domain::workflow::{Workflow, parse_value};
use automation_operations::Session;
use automation_store::dead_letters::{self, DeadLetter, DeadLetterFilter};
use automation_store::records::contacts;
use automation_store::runs::effects::{self, StoredEffect};
use automation_store::runs::lists::RunDetail;
use automation_store::{Error, events, records, workflows};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a story is told from, beside the run itself.
struct Sources {
    event: Option<RecordedEvent>,
    contact: Option<Contact>,
    /// `None` when this version of the engine cannot read the definition.
    workflow: Option<Workflow>,
    /// What was asked of the world outside.
    effects: Vec<StoredEffect>,
    /// What was given up, the earliest first.
    letters: Vec<DeadLetter>,
    /// Notes and tasks that steps made.
    records: BTreeMap<RecordId, Value>,
}

/// Most dead letters of one run that are told of: it has one for each time that it failed.
const LETTERS: i64 = 100;

/// Prints the story.
pub(super) async fn explain(
    session: &Session,
    detail: &RunDetail,
    limits: &Limits,
    output: &Output,
) -> anyhow::Result<()> {
    let sources = read(session, detail, limits).await?;
    let entries = entries(&sources, detail, &session.key, limits);
    let mut value = super::detail_json(detail);
    value["contact_record"] = json!(sources.contact);
    value["event_data"] = json!(sources.event.as_ref().map(|recorded| &recorded.event.data));
    value["conditions"] = json!(entries);
    for step in value["steps"].as_array_mut().into_iter().flatten() {
        step["input"] = json!(input(&step["detail"], &sources));
    }
    value["trace_id"] = trace(detail, &sources).map(|(id, _)| id).into();
    value["span_id"] = detail.trace.map(|trace| format!("{:016x}", trace.span_id)).into();
    value["requests"] = sources.effects.iter().map(requests::json).collect();
    value["dead_letters"] = sources.letters.iter().map(crate::commands::dead::show::line).collect();
    output.one(&value, || story(detail, &sources, &entries));
    Ok(())
}

async fn read(session: &Session, detail: &RunDetail, limits: &Limits) -> anyhow::Result<Sources> {
    let (tenant, run) = (session.tenant, &detail.summary);
    let made: Vec<RecordId> =
        detail.log.iter().flat_map(|entry| &entry.steps).filter_map(|step| record_of(&step.detail)).collect();
    let (event, contact, definition, effects, letters, records) = session
        .db
        .tx(session.scope(), async |connection| {
            let event = events::by_ids(connection, &[(tenant, run.event_id)]).await?.into_values().next();
            let contact = match run.contact_id {
                Some(id) => contacts::read(connection, &[(tenant, id)]).await?.into_values().next(),
                None => None,
            };
            let mut versions = workflows::versions(connection, &[(tenant, run.version_id)]).await?;
            let definition = versions.remove(&run.version_id).map(|version| version.definition);
            let effects = effects::of_run(connection, tenant, run.run_id).await?;
            let filter = DeadLetterFilter { run: Some(run.run_id), ..DeadLetterFilter::default() };
            let mut letters = dead_letters::list(connection, tenant, &filter, None, LETTERS).await?;
            letters.reverse();
            let records = records::by_ids(connection, tenant, &made).await?;
            Ok::<_, Error>((event, contact, definition, effects, letters, records))
        })
        .await?;
    let workflow = definition
        .and_then(|definition| parse_value(&definition, automation_actions::contracts(), limits).ok());
    Ok(Sources { event, contact, workflow, effects, letters, records })
}

/// The note or task that a step says it made.
fn record_of(detail: &Value) -> Option<RecordId> {
    let id = detail.get("note_id").or_else(|| detail.get("task_id"))?;
    id.as_str()?.parse().ok().map(RecordId)
}

/// What a step was given, once rendered, where its own line does not hold it.
fn input<'a>(detail: &Value, sources: &'a Sources) -> Option<&'a Value> {
    sources.records.get(&record_of(detail)?)
}

/// The conditions that let the event in, over the event as recorded and the contact as it is today.
fn entries(sources: &Sources, detail: &RunDetail, tenant: &str, limits: &Limits) -> Vec<Entry> {
    let Some(workflow) = &sources.workflow else { return Vec::new() };
    let budget = Budget::new(limits);
    let facts = Facts {
        event: sources.event.as_ref(),
        contact: sources.contact.as_ref(),
        run: None,
        tenant,
        now: detail.summary.received_at,
        budget: &budget,
    };
    match workflow.trigger(&detail.summary.trigger) {
        Some(trigger) => entry::of(workflow, trigger, &facts),
        None => Vec::new(),
    }
}

/// The run's trace, or else its event's, and what there is to say of it.
fn trace(detail: &RunDetail, sources: &Sources) -> Option<(String, &'static str)> {
    let own = detail.trace.map(|trace| (format!("{:032x}", trace.trace_id), ""));
    let of_event =
        || Some((trace_id(sources.event.as_ref()?)?, " (of the event; the run is not recorded in it)"));
    own.or_else(of_event)
}

fn story(detail: &RunDetail, sources: &Sources, entries: &[Entry]) -> Vec<String> {
    let mut lines = heading(detail, sources);
    for entry in entries {
        lines.extend(entry.told(2, " (with the contact as it is today)"));
    }
    lines.push(String::new());
    for entry in &detail.log {
        let after = taken(entry.logged_at - detail.summary.received_at);
        lines.push(format!("{}  +{after}  claim {} by {}", time(entry.logged_at), entry.seq, entry.worker));
        for step in &entry.steps {
            tell(step, &mut lines);
            if let Some(input) = input(&step.detail, sources) {
                lines.push(format!("    with {}", short(input)));
            }
        }
    }
    lines.push(String::new());
    for effect in &sources.effects {
        lines.extend(requests::told(effect));
        lines.push(String::new());
    }
    lines.extend(ending(detail));
    lines.extend(sources.letters.iter().map(letter));
    lines
}

fn heading(detail: &RunDetail, sources: &Sources) -> Vec<String> {
    let run = &detail.summary;
    let mut lines = vec![format!("Run {} of workflow {}, version {}", run.run_id, run.workflow, run.version)];
    match &sources.event {
        Some(RecordedEvent { event, .. }) => {
            lines.push(format!("  event     {} from {}, id {}", event.event_type, event.source, event.id));
            lines.push(format!("            {}", short(&event.data)));
        }
        None => lines.push("  event     no longer kept".to_owned()),
    }
    lines.push(match &sources.contact {
        Some(contact) => {
            let email = contact.email.as_deref().unwrap_or("no e-mail address");
            format!("  contact   {} ({email})", contact.subject)
        }
        None => "  contact   none".to_owned(),
    });
    lines.push(format!("  received  {}", time(run.received_at)));
    lines.push(format!("  trigger   {} (unique by {})", run.trigger, run.run_key));
    lines.extend(trace(detail, sources).map(|(id, remark)| format!("  trace     {id}{remark}")));
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
fn tell(step: &Step, lines: &mut Vec<String>) {
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
        return std::iter::once(run.status.to_string()).chain(waits).collect();
    };
    let mut lines = vec![format!("{} at {}, after {}", run.status, time(at), taken(at - run.received_at))];
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

fn outcome(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Completed => "completed",
        StepOutcome::Failed => "failed",
        StepOutcome::Waiting => "waiting",
        StepOutcome::Retrying => "tried again",
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
