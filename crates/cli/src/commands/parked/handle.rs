//! Archiving parked events, and the way back.

use super::select::SelectArgs;
use crate::commands::bulk::BulkArgs;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_store::events::parked::{self, Change, ParkedStatus};
use automation_store::{DbRole, Scope};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

/// Arguments of `automation parked discard` and `restore`.
#[derive(Args, Debug)]
pub struct HandleArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Puts parked events into the archive.
pub async fn discard(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, ParkedStatus::Open, ParkedStatus::Discarded, "discard", output).await
}

/// Takes parked events out of the archive.
pub async fn restore(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, ParkedStatus::Discarded, ParkedStatus::Open, "restore", output).await
}

async fn run(
    args: HandleArgs,
    from: ParkedStatus,
    to: ParkedStatus,
    verb: &str,
    output: &Output,
) -> anyhow::Result<()> {
    let db = args.database.db(DbRole::Operator)?;
    let ids = args.select.snapshot(&db, from, args.bulk.most()).await?;
    let columns = ["id", "result"];
    let row = |id: &Uuid, result: String| -> Value { json!({ "id": id, "result": result }) };
    if args.bulk.dry_run {
        output.list(&columns, ids.iter().map(|id| row(id, format!("would be {to}"))).collect(), None);
        return Ok(());
    }
    args.bulk.confirm(ids.len(), verb)?;
    let who = args.audit.auditor()?;
    let note = args.note.as_deref();
    let (mut rows, mut unchanged) = (Vec::new(), 0);
    for id in &ids {
        let found = super::find(&db, *id).await?;
        let change = Change { from, to, who: &who, note };
        let detail = json!({ "type": found.routing_key, "reason": found.reason, "note": note });
        let changed = db
            .tx(Scope::Tenant(found.audited_under()), async |connection| {
                parked::change(connection, &found, change, detail).await
            })
            .await?;
        unchanged += usize::from(!changed);
        rows.push(row(id, if changed { to.to_string() } else { "unchanged".to_owned() }));
    }
    output.list(&columns, rows, None);
    match unchanged {
        0 => Ok(()),
        _ => Err(exit::wrong(
            format!("{unchanged} of {} were not {from}", ids.len()),
            "automation parked list --status all",
        )),
    }
}
