//! Cancelling, pausing and resuming runs: one, or many that are chosen once.

use crate::commands::bulk::{BulkArgs, Told, until_stopped};
use crate::exit;
use crate::moment;
use crate::output::{Output, note, table, to_json};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::id::RunId;
use automation_operations::Bulk;
use automation_operations::runs::{self, Act, AllHandled, Chosen, Filter, Selection};
use automation_service_kit::config::rule;
use chrono::{DateTime, Utc};
use clap::Args;

/// Arguments of `automation run cancel`, `pause` and `resume`.
#[derive(Args, Debug)]
pub struct HandleArgs {
    /// Their ids
    #[arg(value_name = "ID")]
    ids: Vec<RunId>,
    /// All open ones
    #[arg(long)]
    all: bool,
    /// Only of this workflow
    #[arg(long, value_name = "KEY")]
    workflow: Option<String>,
    /// Only those that this event started
    #[arg(long, value_name = "SOURCE/ID")]
    event: Option<String>,
    /// Only with this status: queued, running, waiting, paused
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only about this contact, by subject
    #[arg(long, value_name = "SUBJECT")]
    contact: Option<String>,
    /// Only of events received since
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    since: Option<DateTime<Utc>>,
    /// Why, for the audit log, and the history of runs that are ended
    #[arg(long, default_value = "by an operator")]
    reason: String,
    /// At most this many a second
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

impl HandleArgs {
    fn selection(&self) -> anyhow::Result<Selection> {
        let filter = Filter {
            workflow: self.workflow.clone(),
            event: self.event.clone(),
            status: self.status.as_deref().map(super::status).transpose()?,
            contact: self.contact.clone(),
            since: self.since,
        };
        match (self.ids.is_empty(), self.all || filter != Filter::default()) {
            (false, true) => Err(exit::usage("ids and filters cannot be combined", "give one or the other")),
            (true, false) => {
                let next = "name ids, or give filters such as --workflow, or --all";
                Err(exit::usage("it is not said which runs", next))
            }
            (false, false) => Ok(Selection::Ids(self.ids.clone())),
            (true, true) => Ok(Selection::Fitting(filter)),
        }
    }
}

/// Runs the command.
pub async fn run(args: HandleArgs, act: Act, output: &Output) -> anyhow::Result<()> {
    let selection = args.selection()?;
    let session = args.tenant.open().await?;
    if let ([id], false) = (&args.ids[..], args.bulk.dry_run) {
        let (id, who, reason) = (*id, args.audit.auditor()?, &args.reason);
        let set = match act {
            Act::Cancel => runs::cancel(&session, &who, id, reason).await?,
            Act::Pause => runs::pause(&session, &who, id, reason).await?,
            Act::Resume => runs::resume(&session, &who, id, reason).await?,
        };
        output.one(&set, || format!("run {id} is {}", set.status));
        return Ok(());
    }
    let chosen = runs::choose(&session, selection, act, args.bulk.most()).await?;
    if args.bulk.dry_run {
        output.one(&chosen, || counted(&chosen));
        return Ok(());
    }
    args.bulk.confirm(chosen.count, verb(act))?;
    let (who, reason) = (args.audit.auditor()?, &args.reason);
    let mut told = Told::default();
    let mut told = |progress| told.hear(&progress);
    let bulk = Bulk { rate: args.rate, stop: until_stopped(), told: &mut told };
    let handled = match act {
        Act::Cancel => runs::cancel_many(&session, &who, &chosen.ids, reason, bulk).await,
        Act::Pause => runs::pause_many(&session, &who, &chosen.ids, reason, bulk).await,
        Act::Resume => runs::resume_many(&session, &who, &chosen.ids, reason, bulk).await,
    };
    conclude(handled, act, output)
}

/// Shows what came of runs, and says how many that were; a run that ended meanwhile is no failure.
pub fn conclude(handled: AllHandled, act: Act, output: &Output) -> anyhow::Result<()> {
    output.one(&handled, || match handled.data.is_empty() {
        true => Lines::default(),
        false => table(&["id", "result", "status"], &handled.data.iter().map(to_json).collect::<Vec<_>>()),
    });
    let AllHandled { chosen, done, ended, unchanged, not_found, untouched, .. } = handled;
    note(format!(
        "{done} of {chosen} {}; {ended} had ended, {unchanged} were so already, {untouched} were not looked at",
        past(act)
    ));
    handled.over?;
    match (untouched, not_found) {
        (0, 0) => Ok(()),
        (0, missing) => {
            Err(exit::not_found(format!("{missing} of {chosen} do not exist"), "automation run list"))
        }
        (left, _) => Err(exit::wrong(
            format!("stopped: {left} of {chosen} were not looked at"),
            "repeat the command: what was done is left out",
        )),
    }
}

fn counted(chosen: &Chosen) -> String {
    let by_status: Vec<String> =
        chosen.by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let count = chosen.count;
    format!("{count} {}: {}", if count == 1 { "run" } else { "runs" }, by_status.join(", "))
}

fn verb(act: Act) -> &'static str {
    match act {
        Act::Cancel => "cancel",
        Act::Pause => "pause",
        Act::Resume => "resume",
    }
}

fn past(act: Act) -> &'static str {
    match act {
        Act::Cancel => "cancelled",
        Act::Pause => "paused",
        Act::Resume => "resumed",
    }
}
