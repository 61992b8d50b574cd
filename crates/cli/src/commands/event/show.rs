//! `automation event show`: a recorded event, and what each trigger that listens for it made of it.

use crate::commands::entry;
use crate::exit;
use crate::output::{Output, time};
use crate::session::TenantArgs;
use automation_domain::contact::from_event::passed_over;
use automation_domain::event::RecordedEvent;
use automation_operations::events::{self, Judged, Name, Shown, Verdict, trace_id};
use automation_service_kit::config::LimitsConfig;
use clap::Args;

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
    let name = match &args.source {
        Some(source) => Name::Of { source, id: &args.id },
        None => Name::Whole(&args.id),
    };
    let shown = events::show(&args.tenant.open().await?, name, &args.limits.limits).await?;
    output.one(&shown, || story(&shown));
    Ok(())
}

fn story(found: &Shown) -> Vec<String> {
    let recorded = &found.recorded;
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
        lines.extend(one.entries.iter().flat_map(|condition| entry::told(condition, 2, "")));
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
        Verdict::Suppressed => "the workflow never lets in whom the event is about".to_owned(),
        Verdict::OverBudget => "deciding it takes more than its budget [over_budget]".to_owned(),
        Verdict::Paused => "the workflow is paused".to_owned(),
        Verdict::Archived => "the workflow is archived".to_owned(),
        Verdict::Suspended { since } => exit::as_typed(&format!(
            "suspended since {}, because processes died or hung over it: automation workflow show {}",
            time(*since),
            one.workflow
        )),
        Verdict::Once { since } => {
            let since = since.map(|since| format!(" since {}", time(since))).unwrap_or_default();
            format!("kept out by reentry once, \"{key}\" had been in{since}{earlier}")
        }
        Verdict::StillIn => format!("kept out, a run of \"{key}\" was open{earlier}"),
        Verdict::Gap { until } => {
            format!("kept out until {}, by the gap after the last run of \"{key}\"{earlier}", time(*until))
        }
        Verdict::Max { until } => {
            format!(
                "kept out until {}, as many runs of \"{key}\" began within the time as may{earlier}",
                time(*until)
            )
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
