//! `automation run`: runs and their history.

mod explain;
mod stats;

use crate::exit;
use crate::moment;
use crate::output::{Output, table, time};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::id::{ContactId, RunId};
use automation_operations::Session;
use automation_service_kit::config::{LimitsConfig, rule};
use automation_store::audit::Auditor;
use automation_store::runs::cancel::{self, Cancelled};
use automation_store::runs::lists::{self, RunDetail, RunFilter, RunStatus, RunSummary};
use automation_store::workflows;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What to do with runs.
#[derive(Subcommand, Debug)]
pub enum RunCommand {
    /// List runs, the latest first
    List(Box<ListArgs>),
    /// Show one run with its steps
    Show {
        /// Its id
        id: RunId,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Tell one run's whole story on one screen
    Explain {
        /// Its id
        id: RunId,
        #[command(flatten)]
        limits: LimitsConfig,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// End an open run
    Cancel {
        /// Its id
        id: RunId,
        /// Why, for its history
        #[arg(long, default_value = "cancelled by an operator")]
        reason: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Count events, runs and actions, and measure latency
    Stats(stats::StatsArgs),
}

/// Arguments of `automation run list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only of this workflow
    #[arg(long, value_name = "KEY")]
    workflow: Option<String>,
    /// Only those that this event started
    #[arg(long, value_name = "SOURCE/ID")]
    event: Option<String>,
    /// Only with this status: queued, running, waiting, paused, completed, failed, cancelled
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only about this contact, by subject
    #[arg(long, value_name = "SUBJECT")]
    contact: Option<String>,
    /// Only of events received since
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    since: Option<DateTime<Utc>>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<RunId>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(command: RunCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        RunCommand::List(args) => list(*args, output).await,
        RunCommand::Show { id, tenant } => {
            let detail = find(&tenant.open().await?, id).await?;
            output.one(&detail_json(&detail), || show(&detail));
            Ok(())
        }
        RunCommand::Explain { id, limits, tenant } => {
            let session = tenant.open().await?;
            let detail = find(&session, id).await?;
            explain::explain(&session, &detail, &limits.limits, output).await
        }
        RunCommand::Cancel { id, reason, audit, tenant } => {
            cancel(&tenant.open().await?, &audit.auditor()?, id, &reason, output).await
        }
        RunCommand::Stats(args) => stats::run(args, output).await,
    }
}

async fn list(args: ListArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let status = match &args.status {
        None => None,
        Some(key) => Some(RunStatus::from_key(key).ok_or_else(|| {
            exit::usage(
                format!("\"{key}\" is not a status"),
                "use queued, running, waiting, paused, completed, failed or cancelled",
            )
        })?),
    };
    let event = match &args.event {
        None => None,
        Some(event) if !event.contains('/') => {
            return Err(exit::usage(
                format!("\"{event}\" does not name an event"),
                "write --event <source>/<id>",
            ));
        }
        Some(event) => Some(event),
    };
    let mut runs = session
        .db
        .tx(session.scope(), async |connection| {
            let mut filter = RunFilter {
                status,
                contact: args.contact.as_deref().map(|subject| ContactId::derive(session.tenant, subject)),
                since: args.since,
                before: args.cursor,
                ..RunFilter::default()
            };
            if let Some(key) = &args.workflow {
                match workflows::by_key(connection, session.tenant, key).await? {
                    Some(stored) => filter.workflow = Some(stored.workflow_id),
                    None => return Ok(Err(format!("there is no workflow \"{key}\""))),
                }
            }
            if let Some(event) = event {
                // Both parts may hold slashes; a source is more likely to, so the last one is tried first.
                for (at, _) in event.rmatch_indices('/') {
                    let (source, id) = (&event[..at], &event[at + 1..]);
                    filter.ids = lists::ids_of_event(connection, session.tenant, source, id).await?;
                    if filter.ids.is_some() {
                        break;
                    }
                }
                if filter.ids.is_none() {
                    return Ok(Err(format!("event {event} is not known, or was received too long ago")));
                }
            }
            lists::list(connection, session.tenant, &filter, i64::from(args.limit) + 1).await.map(Ok)
        })
        .await?
        .map_err(|missing: String| {
            exit::not_found(missing, "automation workflow list; automation parked list")
        })?;
    let more = runs.len() > usize::from(args.limit);
    runs.truncate(usize::from(args.limit));
    let next = runs.last().filter(|_| more).map(|run| run.run_id.to_string());
    output.list(
        &[
            "id",
            "workflow",
            "version",
            "status",
            "contact",
            "event_type",
            "received_at",
            "finished_at",
            "error_message",
        ],
        runs.iter().map(summary_json).collect(),
        next,
    );
    Ok(())
}

async fn find(session: &Session, id: RunId) -> anyhow::Result<RunDetail> {
    session
        .db
        .tx(session.scope(), async |connection| lists::by_id(connection, session.tenant, id).await)
        .await?
        .ok_or_else(|| exit::not_found(format!("there is no run {id}"), "automation run list"))
}

async fn cancel(
    session: &Session,
    auditor: &Auditor,
    id: RunId,
    reason: &str,
    output: &Output,
) -> anyhow::Result<()> {
    let outcome = session
        .db
        .tx(session.scope(), async |connection| {
            cancel::cancel(connection, session.tenant, id, auditor, reason).await
        })
        .await?;
    match outcome {
        Cancelled::Now => {
            output.one(&json!({ "id": id, "status": "cancelled" }), || format!("run {id} is cancelled"));
            Ok(())
        }
        Cancelled::AlreadyEnded(status) => Err(exit::wrong(
            format!("run {id} had ended as {}", status.as_str()),
            format!("automation run show {id}"),
        )),
        Cancelled::NotFound => Err(exit::not_found(format!("there is no run {id}"), "automation run list")),
    }
}

/// A run without its steps.
pub(super) fn summary_json(run: &RunSummary) -> Value {
    let event = run.event.as_ref();
    json!({
        "id": run.run_id, "workflow": run.workflow, "version": run.version, "status": run.status.as_str(),
        "contact": run.contact, "trigger": run.trigger, "key": run.run_key, "priority": run.priority,
        "event": event.map(|event| json!({ "source": event.source, "id": event.id, "type": event.event_type })),
        "event_type": event.map(|event| event.event_type.as_str()),
        "received_at": time(run.received_at), "finished_at": run.finished_at.map(time),
        "waits_until": run.waits_until.map(time),
        "error": run.failure.as_ref().map(|failure| {
            json!({ "node": failure.node, "code": failure.error.code, "message": failure.error.message })
        }),
        "error_message": run.failure.as_ref().map(|failure| failure.error.message.as_str()),
    })
}

fn detail_json(detail: &RunDetail) -> Value {
    let mut value = summary_json(&detail.summary);
    value["steps"] = steps_json(detail).into();
    value["state"] = json!(detail.state);
    value
}

/// One object per step, with the checkpoint it belongs to.
fn steps_json(detail: &RunDetail) -> Vec<Value> {
    let entries = detail.log.iter().flat_map(|entry| entry.steps.iter().map(move |step| (entry, step)));
    entries
        .map(|(entry, step)| {
            let mut value = json!(step);
            value["at"] = time(entry.logged_at).into();
            value["worker"] = entry.worker.clone().into();
            value["claim"] = entry.seq.into();
            value
        })
        .collect()
}

fn show(detail: &RunDetail) -> Lines {
    let run = &detail.summary;
    let mut lines = Lines::default();
    let status = run.status.as_str();
    lines.push(format!("run {} of {} version {}: {status}", run.run_id, run.workflow, run.version));
    lines.push(format!("started by trigger {} at {}", run.trigger, time(run.received_at)));
    if let Some(failure) = &run.failure {
        lines.push(format!("failed: {} [{}]", failure.error.message, failure.error.code));
    }
    if let Some(until) = run.waits_until {
        lines.push(format!("waits until {}", time(until)));
    }
    lines.extend(table(&["at", "node", "action", "visit", "outcome", "detail"], &steps_json(detail)));
    lines
}
