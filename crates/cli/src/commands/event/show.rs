//! `automation event show`: a recorded event, and what each trigger that listens for it made of it.

use super::verdicts::{self, Found, Judged, Verdict};
use crate::commands::run::summary_json;
use crate::exit;
use crate::output::{Output, time};
use crate::session::TenantArgs;
use automation_domain::contact::from_event::passed_over;
use automation_domain::event::RecordedEvent;
use automation_domain::id::EventId;
use automation_domain::trace::TraceParent;
use automation_operations::Session;
use automation_service_kit::config::LimitsConfig;
use automation_store::events::parked::{self, Parked};
use automation_store::{Error, PgConnection, events};
use clap::Args;
use serde_json::{Value, json};

/// Arguments of `automation event show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The publisher's id with --source, SOURCE/ID, or the id under which the engine recorded it
    id: String,
    /// Who published it
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    limits: LimitsConfig,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(args: ShowArgs, output: &Output) -> anyhow::Result<()> {
    if args.source.is_none() && !args.id.contains('/') && args.id.parse::<EventId>().is_err() {
        return Err(exit::usage(
            format!("\"{}\" does not name an event", args.id),
            "say who published it: --source <source>, or <source>/<id>",
        ));
    }
    let session = args.tenant.open().await?;
    let (tenant, limits) = (session.tenant, &args.limits.limits);
    let found = session
        .db
        .tx(session.scope(), async |connection| {
            let Some(recorded) = find(connection, &session, &args).await? else {
                return Ok(Err(parked::mentioning(connection, publishers_id(&args), 1).await?));
            };
            let found = verdicts::judge(connection, tenant, &session.key, &recorded, limits).await?;
            Ok::<_, Error>(Ok((recorded, found)))
        })
        .await?;
    let (recorded, found) = found.map_err(|refused| not_recorded(&args, refused.first()))?;
    let mut value = event_json(&recorded);
    value["passed_over"] = json!(passed_over(&recorded.event));
    value["triggers"] = found.judged.iter().map(judged_json).collect();
    value["other_runs"] = found.others.iter().map(summary_json).collect();
    value["unreadable_workflows"] = json!(found.unreadable);
    output.one(&value, || story(&recorded, &found));
    Ok(())
}

async fn find(
    connection: &mut PgConnection,
    session: &Session,
    args: &ShowArgs,
) -> Result<Option<RecordedEvent>, Error> {
    let (tenant, id) = (session.tenant, args.id.as_str());
    if let Some(source) = &args.source {
        return events::by_name(connection, tenant, source, id).await;
    }
    if let Ok(event) = id.parse::<EventId>() {
        return Ok(events::by_ids(connection, &[(tenant, event)]).await?.into_values().next());
    }
    // Both parts may hold slashes; a source is more likely to, so the last one is tried first.
    for (at, _) in id.rmatch_indices('/') {
        let found = events::by_name(connection, tenant, &id[..at], &id[at + 1..]).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The publisher's id, as far as it can be told.
fn publishers_id(args: &ShowArgs) -> &str {
    match (&args.source, args.id.rsplit_once('/')) {
        (None, Some((_, id))) => id,
        (Some(_), _) | (None, None) => &args.id,
    }
}

fn not_recorded(args: &ShowArgs, refused: Option<&Parked>) -> anyhow::Error {
    let what = match &args.source {
        Some(source) => format!("no event {} of source {source} is recorded", args.id),
        None => format!("no event {} is recorded", args.id),
    };
    match refused {
        Some(Parked { parked_id, reason, detail, .. }) => exit::not_found(
            format!("{what}; a message that names this id was refused: {detail} [{reason}]"),
            format!("automation parked show {parked_id}"),
        ),
        None => exit::not_found(
            what,
            "see what was refused: automation parked list; an id of the publisher's own needs --source; events are kept \
             for a time: docs/configuration.md",
        ),
    }
}

/// The trace in which an event was published.
pub fn trace_id(recorded: &RecordedEvent) -> Option<String> {
    let parent = TraceParent::parse(recorded.event.traceparent.as_deref()?)?;
    Some(format!("{:032x}", parent.context.trace_id))
}

fn event_json(recorded: &RecordedEvent) -> Value {
    let event = &recorded.event;
    json!({
        "event_id": recorded.event_id, "id": event.id, "source": event.source, "type": event.event_type,
        "subject": event.subject, "time": time(event.time), "received_at": time(recorded.received_at),
        "correlation_id": event.correlation_id, "causation_id": event.causation_id,
        "causation_depth": event.causation_depth, "trace_id": trace_id(recorded),
        "traceparent": event.traceparent, "tracestate": event.tracestate, "data": event.data,
    })
}

fn judged_json(one: &Judged) -> Value {
    json!({
        "workflow": one.workflow, "trigger": one.trigger, "version": one.version, "version_then": one.version_then,
        "verdict": one.verdict.as_str(), "until": one.verdict.until().map(time),
        "run": one.verdict.run().map(summary_json), "worked_out_anew": one.verdict.run().is_none(),
        "conditions": one.entries, "key": one.key, "earlier_run": one.earlier_run,
    })
}

fn story(recorded: &RecordedEvent, found: &Found) -> Vec<String> {
    let mut lines = heading(recorded);
    lines.push(String::new());
    if found.judged.is_empty() && found.others.is_empty() {
        lines.push(format!("No trigger of a published workflow listens for {}.", recorded.event.event_type));
    }
    let (started, silent): (Vec<_>, Vec<_>) =
        found.judged.iter().partition(|one| one.verdict.run().is_some());
    lines.extend(started.into_iter().flat_map(told));
    for run in &found.others {
        lines.push(format!(
            "{} version {}, trigger {}: started run {}, {}; the published version has no such trigger",
            run.workflow, run.version, run.trigger, run.run_id, run.status
        ));
    }
    if !silent.is_empty() {
        let anew = "Without a run. Why is worked out anew: from the event as recorded, and from workflows and contact as \
                    they are today.";
        if lines.last().is_some_and(|line| !line.is_empty()) {
            lines.push(String::new());
        }
        lines.push(anew.to_owned());
        lines.extend(silent.into_iter().flat_map(told));
    }
    for key in &found.unreadable {
        lines.push(format!(
            "{key}: this version of the engine cannot read the workflow, and starts no run of it"
        ));
    }
    lines
}

fn heading(recorded: &RecordedEvent) -> Vec<String> {
    let event = &recorded.event;
    let mut lines = vec![
        format!("Event {} from {}, id {}", event.event_type, event.source, event.id),
        format!("  recorded  {}", recorded.event_id),
        format!("  subject   {}", event.subject.as_deref().unwrap_or("none")),
        format!("  happened  {}", time(event.time)),
        format!("  received  {}", time(recorded.received_at)),
    ];
    if let Some(cause) = &event.causation_id {
        lines.push(format!("  caused by event {cause}, link {} of the chain", event.causation_depth));
    }
    lines.extend(event.correlation_id.as_ref().map(|id| format!("  chain     {id}")));
    lines.extend(trace_id(recorded).map(|id| format!("  trace     {id}")));
    lines.push(format!("  data      {}", event.data));
    lines.extend(passed_over(event).iter().map(|problem| format!("  passed over  {problem}")));
    lines
}

/// What came of the event by a trigger; where that is no run, with the conditions.
fn told(one: &Judged) -> Vec<String> {
    let then = match one.version_then {
        Some(number) if number != one.version => format!(" (version {number} when the event came)"),
        Some(_) | None => String::new(),
    };
    let mut lines = vec![format!(
        "{} version {}{then}, trigger {}: {}",
        one.workflow,
        one.version,
        one.trigger,
        reason(one)
    )];
    if one.verdict.run().is_none() {
        lines.extend(one.entries.iter().flat_map(|entry| entry.told(2, "")));
    }
    lines
}

fn reason(one: &Judged) -> String {
    let key = one.key.as_deref().unwrap_or_default();
    let earlier = one.earlier_run.map(|run| format!(": run {run}")).unwrap_or_default();
    match &one.verdict {
        Verdict::Started(run) => {
            format!("started run {} of version {}, {}", run.run_id, run.version, run.status)
        }
        Verdict::PublishedLater => "first published after the event came".to_owned(),
        Verdict::ConditionFalse => "a condition does not hold".to_owned(),
        Verdict::OverBudget => "deciding it takes more than its budget [over_budget]".to_owned(),
        Verdict::Paused => "the workflow is paused".to_owned(),
        Verdict::Suspended { since } => {
            format!(
                "suspended since {}, because processes died or hung over it: automation workflow show {}",
                time(*since),
                one.workflow
            )
        }
        Verdict::Once => format!("kept out by reentry once, \"{key}\" had been in{earlier}"),
        Verdict::StillIn => format!("kept out, a run of \"{key}\" was open{earlier}"),
        Verdict::Gap { until } => {
            format!("kept out until {}, by the gap after the last run of \"{key}\"{earlier}", time(*until))
        }
        Verdict::Forgotten => format!(
            "let in by its conditions; what entry rules knew of \"{key}\" then is not known, as a run began later{earlier}"
        ),
        Verdict::Unexplained => {
            "nothing keeps it out today: workflow or contact have changed since, or its run is no \
                                 longer kept"
                .to_owned()
        }
    }
}
