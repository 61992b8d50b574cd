//! Archiving dead letters, and the way back.

use super::select::SelectArgs;
use crate::commands::bulk::BulkArgs;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, TenantArgs};
use automation_operations::Page;
use automation_operations::dead_letters::{self, DeadLetterStatus};
use clap::Args;
use serde_json::{Value, json};

/// Arguments of `automation dead discard` and `restore`.
#[derive(Args, Debug)]
pub struct HandleArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Why, for the audit log
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Which way.
#[derive(Clone, Copy)]
enum Way {
    Discard,
    Restore,
}

impl Way {
    /// The state before and the state after.
    fn states(self) -> (DeadLetterStatus, DeadLetterStatus) {
        match self {
            Self::Discard => (DeadLetterStatus::Open, DeadLetterStatus::Discarded),
            Self::Restore => (DeadLetterStatus::Discarded, DeadLetterStatus::Open),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Restore => "restore",
        }
    }
}

/// Puts dead letters into the archive.
pub async fn discard(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, Way::Discard, output).await
}

/// Takes dead letters out of the archive.
pub async fn restore(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, Way::Restore, output).await
}

async fn run(args: HandleArgs, way: Way, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let (from, to) = way.states();
    let selection = args.select.selection()?;
    let ids = dead_letters::choose(&session, selection, from, args.bulk.most()).await?;
    let columns = ["id", "result"];
    if args.bulk.dry_run {
        let result = format!("would be {to}");
        let rows = ids.iter().map(|id| json!({ "id": id, "result": result })).collect();
        output.page(&columns, &Page::<Value>::whole(rows));
        return Ok(());
    }
    args.bulk.confirm(ids.len(), way.verb())?;
    let (who, note) = (args.audit.auditor()?, args.reason.as_deref());
    let handled = match way {
        Way::Discard => dead_letters::discard(&session, &who, &ids, note).await?,
        Way::Restore => dead_letters::restore(&session, &who, &ids, note).await?,
    };
    output.page(&columns, &handled);
    let unchanged = handled.data.iter().filter(|one| !one.changed).count();
    let next = "automation dead list --status all";
    match (unchanged, ids.len()) {
        (0, _) => Ok(()),
        (1, 1) => Err(exit::wrong(format!("there is no dead letter {} that is {from}", ids[0]), next)),
        (unchanged, all) => Err(exit::wrong(format!("{unchanged} of {all} were not {from}"), next)),
    }
}
