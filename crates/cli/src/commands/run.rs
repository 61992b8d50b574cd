//! `automation run`: runs and their history.

pub(in crate::commands) mod explain;
mod go_on;
pub(super) mod handle;
mod stats;

use crate::exit;
use crate::moment;
use crate::output::{Output, table, time, to_json};
use crate::session::TenantArgs;
use crate::terminal::Lines;
use automation_domain::id::RunId;
use automation_operations::runs::{self, Act, Filter, Run, RunDetail, RunStatus};
use automation_operations::{self as operations, Refusal};
use automation_service_kit::config::{LimitsConfig, rule};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

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
    /// End open runs: one, or many
    Cancel(Box<handle::HandleArgs>),
    /// Hold open runs where they are: nothing of them begins
    Pause(Box<handle::HandleArgs>),
    /// Let paused runs go on: at once, where their time came meanwhile
    Resume(Box<handle::HandleArgs>),
    /// Let a run go on that stands at a pause of its workflow
    Continue(go_on::GoOnArgs),
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
            let found = runs::show(&tenant.open().await?, id).await?;
            output.one(&found, || show(&found));
            Ok(())
        }
        RunCommand::Explain { id, limits, tenant } => {
            let story = runs::explain(&tenant.open().await?, id, &limits.limits).await?;
            output.one(&story, || explain::told(&story));
            Ok(())
        }
        RunCommand::Cancel(args) => handle::run(*args, Act::Cancel, output).await,
        RunCommand::Pause(args) => handle::run(*args, Act::Pause, output).await,
        RunCommand::Resume(args) => handle::run(*args, Act::Resume, output).await,
        RunCommand::Continue(args) => go_on::run(args, output).await,
        RunCommand::Stats(args) => stats::run(args, output).await,
    }
}

/// Reads a status.
fn status(key: &str) -> anyhow::Result<RunStatus> {
    RunStatus::from_key(key).ok_or_else(|| {
        exit::usage(
            format!("\"{key}\" is not a status"),
            "use queued, running, waiting, paused, completed, failed or cancelled",
        )
    })
}

async fn list(args: ListArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let status = args.status.as_deref().map(status).transpose()?;
    let filter = Filter {
        workflow: args.workflow,
        event: args.event,
        status,
        contact: args.contact,
        since: args.since,
    };
    let listed = runs::list(&session, &filter, args.limit, args.cursor).await.map_err(|error| {
        let is_unnamed = matches!(error, operations::Error::Refused(Refusal::EventName(_)));
        let missing = "automation workflow list; automation parked list";
        exit::hinted(error, if is_unnamed { "write --event <source>/<id>" } else { missing })
    });
    let columns = [
        "id",
        "workflow",
        "version",
        "status",
        "contact",
        "event_type",
        "received_at",
        "finished_at",
        "error_message",
    ];
    output.page(&columns, &listed?);
    Ok(())
}

fn show(found: &Run) -> Lines {
    let Run(RunDetail { summary: run, .. }) = found;
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
    let value = to_json(found);
    let steps = value["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.extend(table(&["at", "node", "action", "visit", "outcome", "detail"], steps));
    lines
}
